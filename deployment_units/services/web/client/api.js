// Calls of the unit. Each has a deadline; what fails is a Failure with the status' code.

const LIMIT_MS = 30_000;
export const UNAUTHENTICATED = 16;

export class Failure extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

async function ask(verb, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: verb,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(LIMIT_MS),
      credentials: "same-origin",
    });
  } catch {
    throw new Failure(14, "The unit cannot be reached; try again.");
  }
  if (response.status === 204) return null;
  let said;
  try {
    said = await response.json();
  } catch {
    throw new Failure(2, "The answer cannot be read; try again.");
  }
  if (!response.ok) throw new Failure(said.code ?? 2, said.message ?? "It did not work.");
  return said;
}

export const session = () => ask("GET", "/session");
export const signIn = (ticket) => ask("POST", "/session", { ticket });
export const signOut = () => ask("DELETE", "/session");
export const call = (method, request, service = "ConversationService") =>
  ask("POST", `/api/${service}/${method}`, request);

export function newId() {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
}
