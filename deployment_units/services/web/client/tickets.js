// Tickets as links bring them, and whose they say they are.

export function ticketOfLink() {
  const found = /^#ticket=([\w.-]{1,4096})$/.exec(location.hash);
  // Neither the history nor a copied address has it from here on.
  if (found) history.replaceState(null, "", location.pathname);
  return found?.[1] ?? "";
}

export function nameIn(ticket) {
  try {
    const part = ticket.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (sign) => sign.charCodeAt(0));
    const { sub, tenant } = JSON.parse(new TextDecoder().decode(bytes));
    return `${sub} of ${tenant}`;
  } catch {
    return "";
  }
}
