// Invitations to groups: those that the account was brought, which it accepts or declines, and what
// became of those that it made. They are listed anew whenever something comes.

import { call, Failure, UNAUTHENTICATED } from "./api.js";
import { learnNames } from "./recipients.js";
import { shortName } from "./store.js";
import { arrange, element } from "./views.js";

const SERVICE = "InviteService";
const SOON_MS = 200; // several messages at once are one reason to look
const MOST_PAGES = 5;
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });
const RECEIVED = {
  ACCEPTING: "You accept it; the directory has not said yes yet",
  ACCEPTED: "You are in the group",
  DECLINING: "You decline it; the directory has not heard it yet",
  DECLINED: "You declined it",
  WITHDRAWN: "It was taken back",
  REFUSED: "It was not taken",
  EXPIRED: "It is over",
};
const SENT = {
  MAKING: "Not on its way yet",
  OPEN: "Not answered yet",
  ACCEPTED: "Accepted",
  DECLINED: "Declined",
  WITHDRAWING: "You take it back; the directory has not heard it yet",
  WITHDRAWN: "You took it back",
  REFUSED: "It was not taken",
  EXPIRED: "It is over",
};

export class Invitations {
  // link: to them, shown while there are any; count: of those that wait for an answer; place: where
  // they stand; signedOut: is told that the ticket is over.
  constructor({ link, count, place, error, signedOut }) {
    Object.assign(this, { link, count, place, error, signedOut });
    this.stop();
  }

  stop() {
    clearTimeout(this.timer);
    this.run = {}; // of one account: what is heard for another one is dropped
    this.all = [];
    this.answering = new Set();
    this.error.textContent = "";
    this.paint();
  }

  // Something came: it may be one of these, or of what became of one.
  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.list(), SOON_MS);
  }

  async list() {
    const run = this.run;
    try {
      const found = [];
      let pageToken = "";
      for (let page = 0; page < MOST_PAGES; page++) {
        const { invites, nextPageToken } = await call("ListInvites", { pageToken }, SERVICE);
        found.push(...(invites ?? []));
        pageToken = nextPageToken;
        if (!pageToken) break;
      }
      if (run !== this.run) return;
      this.all = found;
    } catch (failure) {
      if (run === this.run) this.failed(failure);
      return;
    }
    this.paint();
    learnNames(this.all.map((one) => one.account).filter(Boolean), () => this.paint());
  }

  async answer(invite, method) {
    const run = this.run;
    this.answering.add(invite.invitation);
    this.error.textContent = "";
    this.paint();
    try {
      const now = await call(method, { invitation: invite.invitation }, SERVICE);
      if (run !== this.run) return;
      this.all = this.all.map((one) => (one.invitation === now.invitation && !one.sent ? now : one));
    } catch (failure) {
      if (run !== this.run) return;
      this.failed(failure);
      this.changed(); // why it was not taken stands with it
    }
    this.answering.delete(invite.invitation);
    this.paint();
  }

  failed(failure) {
    if (failure.code === UNAUTHENTICATED) this.signedOut();
    else this.error.textContent = failure instanceof Failure ? failure.message : "It did not work; try again.";
  }

  paint() {
    const open = this.all.filter((one) => !one.sent && stateOf(one) === "OPEN").length;
    this.link.hidden = !this.all.length;
    this.count.textContent = open ? String(open) : "";
    this.count.hidden = !open;
    const kept = new Map([...this.place.children].map((one) => [one.dataset.shown, one]));
    arrange(this.place, this.all.map((one) => {
      const made = this.item(one);
      const before = kept.get(made.dataset.shown);
      return before ?? made;
    }));
  }

  item(invite) {
    const state = stateOf(invite);
    const whom = invite.account ? shortName(invite.account) : "";
    const to = invite.identifier.replace(/^(mailto|tel):/, "");
    const waits = !invite.sent && state === "OPEN";
    const busy = this.answering.has(invite.invitation);
    const said = (invite.sent ? SENT : RECEIVED)[state] ?? "";
    const by = invite.sent && whom && /ACCEPTED|DECLINED/.test(state) ? ` by ${whom}` : "";
    const until = waits || (invite.sent && state === "OPEN") ? `until ${DAY.format(new Date(invite.expireTime))}` : "";
    const name = `${invite.group} of ${invite.organisation}`;
    const made = element("li", {
      class: "invite", "data-shown": [invite.invitation, invite.sent, state, whom, invite.refused, busy].join(" "),
    },
      element("strong", { dir: "auto" }, name),
      element("span", { dir: "auto" }, invite.sent ? `You invited ${to}` : `${whom} invites you, at ${to}`),
      element("small", {}, [said + by, until].filter(Boolean).join(" · ")),
      ...(invite.why ?? []).map((one) => element("small", { dir: "auto" }, `${one.rule}: ${one.clause}`)),
      invite.refused ? element("p", { class: "error", dir: "auto" }, invite.refused) : "",
    );
    if (waits) {
      made.append(element("div", { class: "answers" },
        this.button("Accept", "primary", `Accept the invitation to ${name}`, invite, "AcceptInvite", busy),
        this.button("Decline", "quiet", `Decline the invitation to ${name}`, invite, "DeclineInvite", busy)));
    }
    return made;
  }

  button(title, kind, label, invite, method, busy) {
    const made = element("button", { class: kind, type: "button", "aria-label": label, disabled: busy }, title);
    made.addEventListener("click", () => this.answer(invite, method));
    return made;
  }
}

const stateOf = (invite) => invite.state.replace("INVITE_STATE_", "");
