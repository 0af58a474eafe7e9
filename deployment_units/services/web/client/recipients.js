// Whom a new conversation is with: what somebody typed, as the members that the unit finds for it.

import { call, Failure } from "./api.js";
import { identifierOf } from "./identities.js";
import { addressOf, isNamed, learnName } from "./store.js";

const MOST_MEMBERS = 64;
const INVALID = 3;
const NOT_FOUND = 5;
const MOST_LEARNED = 50; // at once: a unit lets nobody look up without end

// By comma or space; within a number spaces are part of it.
function namesIn(text) {
  const parts = text.split(/[,;\n]+/).map((one) => one.trim()).filter(Boolean);
  const names = parts.flatMap((one) =>
    one.startsWith("+") ? [one.replace(/[\s()-]+/g, "")] : one.split(/\s+/));
  if (!names.length) throw new Failure(INVALID, "To whom? Write a handle, an address or a number.");
  if (names.length > MOST_MEMBERS) throw new Failure(INVALID, `At most ${MOST_MEMBERS} at once.`);
  return [...new Set(names)];
}

// {member, identifiers} in order of members, each once, without the account itself. identifiers: by
// which they were found.
export async function contacteesIn(text, me) {
  const found = new Map();
  for (const name of namesIn(text)) {
    const { member, shown, name: called } = await call("FindMember", { name });
    learnName(member, shown, called);
    const identifiers = found.get(member) ?? new Set();
    found.set(member, identifiers);
    const identifier = identifierOf(member, shown);
    if (identifier) identifiers.add(identifier);
  }
  found.delete(me);
  if (!found.size) throw new Failure(INVALID, "That is you. Write to somebody else.");
  return [...found.keys()].sort().map((member) => ({ member, identifiers: [...found.get(member)] }));
}

// The same of members of a conversation: by what they were found before.
export function contacteesOf(members) {
  return members.map((member) => {
    const identifier = identifierOf(member, addressOf(member));
    return { member, identifiers: identifier ? [identifier] : [] };
  });
}

const asked = new Set(); // since the page was opened

// What members call themselves, asked for once each: of those whose names are not known, or of all.
export async function learnNames(all, changed, { again = false } = {}) {
  const wanted = all.filter((one) => !asked.has(one) && !/^(mailto|tel):/.test(one)
    && (again || !isNamed(one)));
  for (const one of [...new Set(wanted)].slice(0, MOST_LEARNED)) {
    asked.add(one);
    try {
      const { member, shown, name } = await call("FindMember", { name: one });
      if (member !== one) continue; // an id that reads as another name
      learnName(member, shown, name);
      changed();
    } catch (failure) {
      if (failure.code !== NOT_FOUND && failure.code !== INVALID) return; // later
    }
  }
}
