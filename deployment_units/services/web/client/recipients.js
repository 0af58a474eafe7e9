// Whom a new conversation is with: what somebody typed, as the members that the unit finds for it.

import { call, Failure } from "./api.js";
import { learnName } from "./store.js";

const MOST_MEMBERS = 64;
const INVALID = 3;

// By comma or space; within a number spaces are part of it.
function namesIn(text) {
  const parts = text.split(/[,;\n]+/).map((one) => one.trim()).filter(Boolean);
  const names = parts.flatMap((one) =>
    one.startsWith("+") ? [one.replace(/[\s()-]+/g, "")] : one.split(/\s+/));
  if (!names.length) throw new Failure(INVALID, "To whom? Write a handle, an address or a number.");
  if (names.length > MOST_MEMBERS) throw new Failure(INVALID, `At most ${MOST_MEMBERS} at once.`);
  return [...new Set(names)];
}

// In order, each once, without the account itself.
export async function members(text, me) {
  const found = new Set();
  for (const name of namesIn(text)) {
    const { member, shown } = await call("FindMember", { name });
    learnName(member, shown);
    found.add(member);
  }
  found.delete(me);
  if (!found.size) throw new Failure(INVALID, "That is you. Write to somebody else.");
  return [...found].sort();
}
