// The list of conversations and the messages of one, as elements. Everything that somebody wrote
// becomes text, never HTML.

import { rendered, spent, titleOf } from "./cards.js";
import { deliveryLine, without } from "./deliveries.js";
import { addressOf, bringerOf, messageKey, rootKey, shortName } from "./store.js";

export function element(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...inside.filter((one) => one !== "" && one !== null && one !== undefined));
  return made;
}

// Makes these the children, and touches none that stands where it should: so it keeps the focus, and
// a press that has begun.
export function arrange(parent, wanted) {
  wanted.forEach((one, place) => {
    if (parent.children[place] !== one) parent.insertBefore(one, parent.children[place] ?? null);
  });
  while (parent.children.length > wanted.length) parent.lastElementChild.remove();
}

// What was at its end stays there when it becomes smaller, such as by the keyboard of a telephone.
export function stayAtEnd(log) {
  let atEnd = true;
  log.addEventListener("scroll", () => {
    atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  });
  new ResizeObserver(() => {
    if (atEnd) log.scrollTop = log.scrollHeight;
  }).observe(log);
}

// The colour is the member's, the letter that of the name.
export function showPicture(place, member, name = shortName(member)) {
  let hash = 0;
  for (const sign of member) hash = (hash * 31 + sign.codePointAt(0)) % 8;
  place.className = `picture hue-${hash}`;
  place.textContent = [...name.replace(/^[@+]/, "")][0]?.toUpperCase() ?? "";
}

function picture(name) {
  const made = element("span", { "aria-hidden": "true" });
  showPicture(made, name);
  return made;
}

export function conversationItem(store, conversation, isOpen) {
  const shown = store.shown(conversation);
  const last = shown.at(-1)?.now;
  const unread = store.unread(conversation) && !isOpen;
  const who = last?.sender === store.me ? "You: " : "";
  const link = element(
    "a",
    { href: `#/c/${encodeURIComponent(conversation.id)}`, "aria-current": isOpen ? "page" : null,
      class: unread ? "is-unread" : null },
    picture(conversation.members[0] ?? "?"),
    element(
      "span",
      { class: "line" },
      element("strong", { dir: "auto" }, store.title(conversation)),
      last ? element("time", { datetime: last.keepTime, class: "when" }, when(last)) : "",
      element("span", { class: "last", dir: "auto" }, last ? who + preview(last) : "…"),
      unread ? element("span", { class: "unread", role: "img", "aria-label": "unread" }) : "",
    ),
  );
  return element("li", {}, link);
}

function preview(message) {
  return (message.content?.text ?? "").split("\n", 1)[0].slice(0, 120);
}

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

// Of the last message: the time of today's, the date of others.
function when(message) {
  const time = new Date(message.keepTime);
  const isToday = time.toDateString() === new Date().toDateString();
  return (isToday ? TIME : DATE).format(time);
}

export function messageItems(store, conversation, { press, sending, fresh }) {
  const found = [];
  let day = "";
  let sender = "";
  const shown = store.shown(conversation);
  for (const [place, { root, at, now }] of shown.entries()) {
    const time = new Date(at.keepTime);
    const today = DAY.format(time);
    if (today !== day) found.push(element("div", { class: "day", "data-shown": today }, today));
    const first = sender !== writtenBy(at) || today !== day;
    [day, sender] = [today, writtenBy(at)];
    const next = shown[place + 1]?.at;
    const last = !next || writtenBy(next) !== sender || minute(next) !== minute(at);
    found.push(messageItem(store, conversation, { root, at, now, first, last, time, press, fresh }));
  }
  for (const one of sending) {
    found.push(
      element("div", { class: "message mine", "data-shown": one.id },
        element("div", { class: "text", dir: "auto" }, one.text),
        element("div", { class: "meta" }, "Sending…")),
    );
  }
  return found;
}

const minute = (message) => Math.floor(Date.parse(message.keepTime) / 60_000);

// Who wrote it, and as which identifier: as who else the same account writes is not seen by it.
const writtenBy = (message) => `${message.sender} ${message.content?.fromIdentifier ?? ""}`;

// By what a message names its sender: the identifier that was chosen, and then nothing else.
function senderOf(message) {
  const chosen = message.content?.fromIdentifier;
  return chosen ? chosen.replace(/^(mailto|tel|sip|sips|xmpp):/, "") : shortName(message.sender);
}

function messageItem(store, conversation, { root, at, now, first, last, time, press, fresh }) {
  const mine = at.sender === store.me;
  const card = cardOf(now);
  const deliveries = (mine && store.deliveries.get(now.id)) || [];
  const presses = card ? pressesOf(conversation, root) : [];
  const kinds = ["message", mine && "mine", first && "first", card && "with-card"];
  kinds.push(fresh.has(messageKey(now)) && "fresh");
  const only = conversation.members.length === 1 && conversation.members[0] === at.sender;
  const named = first && !mine && (!only || at.content?.fromIdentifier);
  const made = element("article", {
    class: kinds.filter(Boolean).join(" "), "data-root": root, "data-shown": `${keyOf(now, presses, deliveries)} ${first} ${last}`,
    "aria-label": `${mine ? "You" : senderOf(at)}, ${TIME.format(time)}`,
  });
  if (named) {
    const chosen = at.content?.fromIdentifier;
    const whole = { class: "name", dir: "auto", title: chosen ? senderOf(at) : addressOf(at.sender) };
    made.append(element("div", whole, senderOf(at)));
  }
  if (card) {
    made.append(
      rendered(card, spent(card, presses), (action, title, inputs) =>
        press({ shown: now, revision: now.revision ?? 1, action, title, inputs })),
      ...presses.slice(0, 1).map((one) => pressed(one, card, at.sender)),
    );
  } else {
    made.append(element("div", { class: "text", dir: "auto" }, now.content?.text ?? ""));
  }
  const said = last ? [TIME.format(time)] : [];
  if (now !== at) said.push("edited");
  if (mine && last && at.content?.fromIdentifier) said.push(`as ${senderOf(at)}`);
  if (now.via) said.push(`via ${shortName(now.via)}`);
  said.push(...mailNotes(now));
  const meta = element("div", { class: "meta", title: WHOLE.format(time) });
  for (const one of deliveries) {
    said.push(deliveryLine(one, shortName(one.recipient)));
  }
  meta.textContent = said.join(" · ");
  const away = deliveries.length ? [] : now.elsewhere ?? [];
  if (away.length) {
    const names = away.map(shortName).join(", ");
    meta.append(element("span", { class: "away" }, `${said.length ? " · " : ""}on its way to ${names}`));
  }
  if (meta.textContent) made.append(meta);
  return made;
}

// Of a message that was a mail: that anybody may have written it in the sender's name, and what came
// with it.
function mailNotes({ sender, content }) {
  const mail = content?.byMail;
  if (!mail) return [];
  const notes = mail.verified && !sender.startsWith("mailto:") ? ["by mail"] : [];
  if (!mail.verified) {
    const other = mail.address && sender !== `mailto:${mail.address}`;
    notes.push(other ? `by mail from ${mail.address}, unverified` : "by mail, unverified");
  }
  if (mail.attachments?.length) notes.push(`attached and not opened: ${mail.attachments.join(", ")}`);
  return notes;
}

// By which a message that is shown is known from one that has changed since.
function keyOf(message, presses, deliveries) {
  const names = [message.sender, message.via ?? "", ...(message.elsewhere ?? [])].map(shortName);
  const states = presses.map((one) => `${one.id}${one.state}`);
  const made = deliveries.map((one) => `${shortName(one.recipient)}${one.state}${one.words}${without(one)}`);
  return [message.id, message.revision ?? 1, ...states, ...made, ...names].join(" ");
}

function cardOf(message) {
  try {
    return message.content?.card ? JSON.parse(message.content.card) : null;
  } catch {
    return null;
  }
}

const WAITING = "PRESS_STATE_WAITING";

// Those of all revisions, the newest first, each once.
export function pressesOf(conversation, root) {
  const found = new Map();
  let bringer = "";
  for (const one of conversation.messages.values()) {
    if (rootKey(one) !== root) continue;
    bringer = bringerOf(one);
    for (const press of one.presses ?? []) {
      if (!found.has(press.id) || press.state !== WAITING) found.set(press.id, press);
    }
  }
  // What answers a press says so, and the card itself may have come before that.
  for (const one of conversation.messages.values()) {
    if (bringerOf(one) !== bringer) continue;
    const press = found.get(one.content?.answers ?? "");
    const state = one.content?.refused ? "PRESS_STATE_REFUSED" : "PRESS_STATE_DONE";
    if (press?.state === WAITING) found.set(press.id, { ...press, state });
  }
  return [...found.values()].sort((a, b) => (a.pressTime < b.pressTime ? 1 : -1));
}

function pressed(press, card, sender) {
  const title = press.title ?? titleOf(card, press.action);
  const state = press.state.replace("PRESS_STATE_", "").toLowerCase();
  const said = {
    waiting: `You pressed “${title}”; ${shortName(sender)} has not answered yet`,
    done: `“${title}” is done`,
    superseded: "This card had changed before you pressed; look at it again",
    refused: `“${title}” was not taken`,
  }[state];
  return element("div", { class: `pressed ${state}`, role: "status" }, said ?? "");
}
