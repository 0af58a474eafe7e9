// What is known of the account's conversations: pure, nothing of it is shown or asked for here.

// Ids of messages are of whoever brings them: another member's may have the same.
export const bringerOf = (message) => message.via || message.sender;
export const messageKey = (message) => `${bringerOf(message)} ${message.id}`;
// That of the message that it is a revision of: its own, where it is of none.
export const rootKey = (message) => `${bringerOf(message)} ${message.replaces || message.id}`;

export class Store {
  constructor(me) {
    this.me = me;
    this.conversations = new Map(); // by id: {id, members, last, seen, messages by key, whole}
    this.deliveries = new Map(); // of own messages, by id: what became of each, by recipient
    this.newest = 0;
  }

  // Of a list that the unit gave.
  addConversation(one) {
    const found = this.of(one.id);
    found.members = one.members;
    found.last = Math.max(found.last, Number(one.last));
    found.seen = Math.max(found.seen, 0, ...one.seen.map((each) => Number(each.position)));
    this.newest = Math.max(this.newest, found.last);
  }

  of(id) {
    let found = this.conversations.get(id);
    if (!found) {
      found = { id, members: [], last: 0, seen: 0, messages: new Map(), whole: false };
      this.conversations.set(id, found);
    }
    return found;
  }

  // Whether it is one that was not known.
  addMessage(message) {
    const conversation = this.of(message.conversation);
    const key = messageKey(message);
    const known = conversation.messages.get(key);
    const fresh = !known;
    const position = Number(message.position);
    conversation.messages.set(key, { ...known, ...message, position });
    conversation.last = Math.max(conversation.last, position);
    if (message.sender === this.me) conversation.seen = Math.max(conversation.seen, position);
    this.newest = Math.max(this.newest, position);
    return fresh;
  }

  ordered() {
    return [...this.conversations.values()].sort((a, b) => b.last - a.last);
  }

  // The messages as they are shown: each once, in the place of its first revision, as it is now.
  shown(conversation) {
    const all = [...conversation.messages.values()].sort((a, b) => a.position - b.position);
    const newest = new Map();
    for (const one of all) {
      const root = rootKey(one);
      const first = conversation.messages.get(root);
      if (one.replaces && first && first.sender !== one.sender) continue;
      const before = newest.get(root);
      if (!before || (one.revision ?? 1) >= (before.now.revision ?? 1)) {
        newest.set(root, { root, at: before ? before.at : one, now: one });
      }
    }
    return [...newest.values()];
  }

  unread(conversation) {
    return conversation.last > conversation.seen;
  }

  title(conversation) {
    return conversation.members.map(shortName).join(", ") || "…";
  }
}

// By what the account knows others, by member: the name that each gives itself, as this account sees
// it, and the handle, address or number by which it was found. What was found before is known again in
// this browser, and to nobody else.
const names = new Map(); // member to [name, shown]
const MOST_NAMES = 500;
let place = "";

export function nameBook(me) {
  place = `names of ${me}`;
  names.clear();
  try {
    for (const [member, ...known] of JSON.parse(localStorage.getItem(place) ?? "[]")) {
      if (known.length === 1) known.unshift(""); // as it was kept before there were names
      if ([member, ...known].every((one) => typeof one === "string")) names.set(member, known);
    }
  } catch {
    // It is found again when it is written to.
  }
}

// Whoever signs out leaves no names behind.
export function forgetNames() {
  names.clear();
  try {
    localStorage.removeItem(place);
  } catch {
    // This browser keeps nothing.
  }
  place = ""; // what is asked still is heard too late
}

// name: empty: it gives none.
export function learnName(member, shown, name = "") {
  if (!place) return;
  const [, before = ""] = names.get(member) ?? [];
  names.delete(member);
  names.set(member, [name, shown === member ? before : shown]);
  while (names.size > MOST_NAMES) names.delete(names.keys().next().value);
  try {
    localStorage.setItem(place, JSON.stringify([...names].map(([one, known]) => [one, ...known])));
  } catch {
    // This browser keeps nothing.
  }
}

// The name that it gives itself; else how it was found; else its id.
export function shortName(member) {
  return names.get(member)?.[0] || addressOf(member);
}

// By what it cannot be taken for another one: how it was found, or its id. Names are anybody's.
export function addressOf(member) {
  return names.get(member)?.[1] || member.replace(/^(mailto|tel):/, "");
}

export const isNamed = (member) => names.has(member);
