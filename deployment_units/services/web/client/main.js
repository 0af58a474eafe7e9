// The client: who is signed in, what is open, what is sent and pressed.

import { leave, showAccount } from "./account.js";
import { call, Failure, newId, session, signIn, UNAUTHENTICATED } from "./api.js";
import { watchDeliveries } from "./deliveries.js";
import { follow } from "./events.js";
import { arrowKeys, enterSends, grow } from "./keyboard.js";
import { Identities } from "./identities.js";
import { Invitations } from "./invitations.js";
import { contacteesIn, contacteesOf, learnNames } from "./recipients.js";
import { addressOf, messageKey, nameBook, rootKey, Store } from "./store.js";
import { nameIn, ticketOfLink } from "./tickets.js";
import { arrange, conversationItem, messageItems, showPicture, stayAtEnd } from "./views.js";

const $ = (id) => document.getElementById(id);
const RECENT = 300; // positions that are read again when the client is opened
const PAGE = 100;
const DEVICE = "web";

let store = null;
let stop = () => {};
let deliveries = null;
let open = ""; // the id of the conversation that is open; "new": of one that is not begun
let sending = []; // {id, conversation, text}
let fresh = new Set();
let drawing = false;
let finding = false; // whom a new conversation is with
let identities = null;
const invitations = new Invitations({
  link: $("invitations"), count: $("invitations-count"), place: $("invites"), error: $("invites-error"),
  signedOut: () => showSignIn("Your ticket is over. Sign in with a new one."),
});
// -- signing in ---------------------------------------------------------------------------------

function showSignIn(why = "", ticket = "") {
  stop();
  deliveries?.stop();
  invitations.stop();
  store = null;
  $("client").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = "";
  const name = nameIn(ticket);
  // One press more: a link that somebody else sent signs nobody in as somebody else unnoticed.
  if (name) $("sign-in-why").textContent = `This link signs you in as ${name}.`;
  else if (why) $("sign-in-why").textContent = why;
  $("ticket").value = ticket;
  for (const one of [$("ticket"), document.querySelector("label[for=ticket]")]) one.hidden = Boolean(name);
  ($("ticket").hidden ? document.querySelector("#sign-in-form button") : $("ticket")).focus();
}

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("sign-in-error").textContent = "";
  try {
    const who = await signIn($("ticket").value.trim());
    $("ticket").value = "";
    await start(who);
  } catch (failure) {
    for (const one of [$("ticket"), document.querySelector("label[for=ticket]")]) one.hidden = false;
    $("sign-in-error").textContent = said(failure);
  }
});

$("sign-out").addEventListener("click", async () => {
  showSignIn(await leave());
});

function said(failure) {
  const text = failure instanceof Failure ? failure.message : "It did not work; try again.";
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function failed(failure) {
  if (failure.code === UNAUTHENTICATED) showSignIn("Your ticket is over. Sign in with a new one.");
  else $("composer-error").textContent = said(failure);
}

// -- what comes -----------------------------------------------------------------------------------

async function start(who) {
  store = new Store(who.account);
  identities = new Identities($("identities"), failed);
  nameBook(`${who.account} of ${who.tenant}`);
  sending = [];
  showAccount(who);
  $("sign-in").hidden = true;
  $("client").hidden = false;
  const listed = await call("ListConversations", { pageSize: 200 });
  listed.conversations.forEach((one) => store.addConversation(one));
  const from = Math.max(0, store.newest - RECENT);
  for (const one of store.conversations.values()) {
    one.from = from;
    one.whole = from === 0;
  }
  stop();
  stop = follow(from, { message: arrived, connected, ended: (status) =>
    showSignIn(status.code === 9 ? "Your account has moved. Open your sign-in link again."
      : "Your ticket is over. Sign in with a new one.") });
  deliveries?.stop();
  deliveries = watchDeliveries(store, draw);
  invitations.stop();
  invitations.changed();
  route();
  learnNames(store.ordered().slice(0, 30).flatMap((one) => one.members), draw);
}

let unknown = 0; // a timer: members of conversations that somebody else began are asked for
function arrived(message) {
  invitations.changed();
  if (store.addMessage(message)) fresh.add(messageKey(message));
  sending = sending.filter((one) => one.id !== message.id || message.sender !== store.me);
  const conversation = store.of(message.conversation);
  if (!conversation.members.length) {
    conversation.whole = true;
    clearTimeout(unknown);
    unknown = setTimeout(learnMembers, 50);
  }
  draw();
}

async function learnMembers() {
  const listed = await call("ListConversations", { pageSize: 200 }).catch(() => null);
  listed?.conversations.forEach((one) => store?.addConversation(one));
  draw();
  learnNames((listed?.conversations ?? []).slice(0, 30).flatMap((one) => one.members), draw);
}

function connected(yes) {
  $("connection").textContent = yes ? "" : "Connecting…";
}

// A page of earlier messages of a conversation.
async function loadEarlier(conversation) {
  if (conversation.whole) return;
  const page = await call("ListMessages", {
    conversation: conversation.id, before: conversation.from + 1, pageSize: PAGE,
  });
  page.messages.forEach((one) => store.addMessage(one));
  conversation.whole = !page.more;
  if (page.more) conversation.from = Number(page.messages[0].position) - 1;
}

// -- what is shown ----------------------------------------------------------------------------------

function route() {
  if (!store) return;
  const found = /^#\/c\/(.+)$/.exec(location.hash);
  const before = open;
  const other = ["new", "invitations"].find((one) => location.hash === `#/${one}`);
  open = found ? decodeURIComponent(found[1]) : other ?? "";
  $("composer-error").textContent = "";
  fresh = new Set();
  paint();
  const conversation = store.conversations.get(open);
  if (conversation && before !== open) {
    learnNames(conversation.members, draw, { again: true });
    presentIdentities();
    loadEarlierAndDraw(conversation, true);
    if (matchMedia("(hover: hover)").matches) $("composer-text").focus();
  }
  if (!conversation && before !== open) identities.reset();
  if (open === "new") $("to").focus();
  if (!open) document.querySelector("#conversations a")?.focus({ preventScroll: true });
}

async function loadEarlierAndDraw(conversation, first) {
  if (first && store.shown(conversation).length >= PAGE / 2) return;
  const log = $("messages");
  const height = log.scrollHeight;
  try {
    await loadEarlier(conversation);
  } catch (failure) {
    failed(failure);
    return;
  }
  paint();
  log.scrollTop = first ? log.scrollHeight : log.scrollHeight - height;
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(paint);
}

function paint() {
  drawing = false;
  if (!store) return;
  const conversation = store.conversations.get(open);
  $("client").dataset.view = open ? "talk" : "list";
  paintList();
  $("to-row").hidden = open !== "new";
  $("nothing").hidden = Boolean(open);
  $("messages").hidden = !conversation;
  $("composer").hidden = !open || open === "invitations";
  $("invites-view").hidden = open !== "invitations";
  $("invitations").toggleAttribute("aria-current", open === "invitations");
  const title = conversation ? store.title(conversation)
    : { new: "New conversation", invitations: "Invitations" }[open] ?? "";
  $("title").textContent = title;
  const all = conversation?.members ?? [];
  const known = all.map(addressOf).join(", ");
  $("subtitle").textContent = known === title ? "" : known;
  const waiting = store.ordered().filter((one) => store.unread(one)).length;
  document.title = (waiting ? `(${waiting}) ` : "") + (title || "Conversations");
  if (conversation) showPicture($("title-picture"), conversation.members[0] ?? "?");
  else $("title-picture").textContent = "";
  if (conversation) paintMessages(conversation);
}

function paintList() {
  const list = $("conversations");
  const at = list.scrollTop;
  const focused = list.contains(document.activeElement) ? document.activeElement.hash : "";
  const all = store.ordered();
  const kept = new Map([...list.children].map((one) => [one.outerHTML, one]));
  const items = all.map((one) => conversationItem(store, one, one.id === open));
  arrange(list, items.map((one) => kept.get(one.outerHTML) ?? one));
  $("no-conversations").hidden = all.length > 0;
  list.scrollTop = at;
  if (focused) [...list.querySelectorAll("a")].find((one) => one.hash === focused)?.focus();
}

function paintMessages(conversation) {
  const log = $("messages");
  const isOther = log.dataset.of !== conversation.id;
  const atEnd = isOther || log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const own = sending.filter((one) => one.conversation === conversation.id);
  const items = messageItems(store, conversation, {
    press: (what) => press(conversation, what), sending: own, fresh,
  });
  if (!conversation.whole) {
    const earlier = document.createElement("button");
    earlier.className = "quiet earlier";
    earlier.type = "button";
    earlier.dataset.shown = "earlier";
    earlier.textContent = "Earlier messages";
    earlier.addEventListener("click", () => loadEarlierAndDraw(conversation, false));
    items.unshift(earlier);
  }
  // What is there and has not changed stays, with what is filled in and where the focus is.
  const kept = new Map();
  if (!isOther) {
    for (const one of log.querySelectorAll("[data-shown]")) kept.set(one.dataset.shown, one);
  }
  arrange(log, items.map((one) => {
    const before = one.dataset.shown && kept.get(one.dataset.shown);
    if (!before) return one;
    if (before.className.endsWith(" fresh")) before.className = one.className.replace(" fresh", "");
    return before;
  }));
  log.dataset.of = conversation.id;
  if (atEnd) log.scrollTop = log.scrollHeight;
  markSeen(conversation);
}

function markSeen(conversation) {
  if (document.hidden || !store.unread(conversation)) return;
  conversation.seen = conversation.last;
  const request = { conversation: conversation.id, device: DEVICE, position: conversation.last };
  call("MarkSeen", request).catch(() => null);
}

document.addEventListener("visibilitychange", draw);
stayAtEnd($("messages"));
arrowKeys($("conversations"), () => { location.hash = "#/"; });
addEventListener("hashchange", () => {
  const ticket = ticketOfLink();
  if (ticket) showSignIn("", ticket);
  else route();
});

// -- what is sent ------------------------------------------------------------------------------------

enterSends($("composer-text"), $("composer"));

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = $("composer-text").value;
  const text = typed.trim();
  if (!text) return;
  $("composer-error").textContent = "";
  let request;
  let isNew = open === "new";
  if (finding) return;
  finding = true;
  try {
    const found = isNew ? await contacteesIn($("to").value, store.me) : [];
    if (!store) return;
    const to = found.map((one) => one.member);
    const known = isNew ? same(to) : null;
    if (known) {
      isNew = false;
      location.hash = `#/c/${encodeURIComponent(known.id)}`;
    }
    const conversation = isNew ? newId() : known?.id ?? open;
    const whom = found.length ? found : contacteesOf(store.of(conversation).members);
    const addressing = await identities.addressing(isNew ? "" : conversation, whom);
    if (!store) return;
    request = { conversation, id: newId(), content: { text }, members: isNew ? to : [], ...addressing };
  } catch (failure) {
    failed(failure);
    return;
  } finally {
    finding = false;
  }
  const one = { id: request.id, conversation: request.conversation, text };
  sending.push(one);
  const field = $("composer-text"); // what was typed meanwhile stays
  field.value = field.value.startsWith(typed) ? field.value.slice(typed.length) : "";
  grow($("composer-text"));
  draw();
  await deliver(request, one, isNew);
});

// Before a message is written: as whom, and at which identifiers. What fails is said when it is sent.
async function presentIdentities() {
  try {
    if (open === "new") {
      const whom = await contacteesIn($("to").value, store.me);
      if (open === "new") await identities.present(same(whom.map((one) => one.member))?.id ?? "", whom);
    } else if (open) {
      await identities.present(open, contacteesOf(store.of(open).members));
    }
  } catch {
    identities.reset();
  }
}

$("to").addEventListener("change", presentIdentities);

// The conversation with exactly these members, if there is one.
function same(members) {
  const wanted = members.join(" ");
  return store.ordered().find((one) => [...one.members].sort().join(" ") === wanted);
}

// A message with the same id is the same: so what broke off is sent again, and is there once.
async function deliver(request, one, isNew) {
  for (let tries = 1; ; tries++) {
    try {
      const answer = await call("SendMessage", request);
      if (!store) return;
      if (isNew) store.of(request.conversation).members = request.members;
      store.of(request.conversation).whole ||= isNew;
      store.addMessage({ ...answer.message, elsewhere: answer.elsewhere });
      if (answer.elsewhere.length) deliveries.sent();
      sending = sending.filter((each) => each !== one);
      if (isNew) $("to").value = "";
      if (isNew && open === "new") {  // else somebody went elsewhere meanwhile
        location.hash = `#/c/${encodeURIComponent(request.conversation)}`;
      }
      draw();
      return;
    } catch (failure) {
      if (failure.code === 14 && tries < 4) {
        await new Promise((resolve) => setTimeout(resolve, 1_000 * tries));
        continue;
      }
      sending = sending.filter((each) => each !== one);
      if (store && !$("composer-text").value) $("composer-text").value = one.text;
      grow($("composer-text"));
      draw();
      failed(failure);
      return;
    }
  }
}

// A press is shown as soon as it is made, and stays: what comes of it comes as messages.
async function press(conversation, { shown, revision, action, title, inputs }) {
  const message = conversation.messages.get(rootKey(shown)) ?? shown; // the first may be too old
  const id = newId();
  const made = { id, action, title, revision, state: "PRESS_STATE_WAITING", pressTime: new Date().toISOString() };
  const others = message.presses ?? [];
  message.presses = [made, ...others];
  draw();
  try {
    const of = { message: shown.replaces || shown.id, sender: message.sender, revision };
    const answer = await call("Click", { ...of, action, press: id, inputs });
    if (answer.press && answer.press !== id) made.id = answer.press;
    made.state = answer.state;
    if (answer.current) store?.addMessage(answer.current);
  } catch (failure) {
    message.presses = others;
    failed(failure);
  }
  draw();
}

// -- now ----------------------------------------------------------------------------------------------

const linked = ticketOfLink();
if (linked) {
  showSignIn("", linked);
} else {
  session().then(start, (failure) =>
    failure.code === UNAUTHENTICATED ? showSignIn() : showSignIn(said(failure)));
}
