// As whom the account writes, and at which identifier of whom: what the unit suggests, what was
// chosen, and what that would show. Each choice has the other side presented anew; nothing that was
// chosen is changed.

import { call } from "./api.js";
import { shortName } from "./store.js";
import { element } from "./views.js";

const plain = (identifier) => identifier.replace(/^(mailto|tel|sip|sips|xmpp):/, "");

// Of a member that was found by a name: the identifier that the name is; empty: an account's id.
export function identifierOf(member, shown) {
  if (/^(mailto|tel):/.test(member)) return member;
  if (shown.startsWith("@")) return shown;
  if (shown.includes("@")) return `mailto:${shown}`;
  return shown.startsWith("+") ? `tel:${shown.replace(/[^+\d]/g, "")}` : "";
}

export class Identities {
  // row: where it stands; failed: is told of what fails after a choice.
  constructor(row, failed) {
    this.row = row;
    this.failed = failed;
    this.reset();
  }

  reset() {
    this.key = "";
    this.asked = { conversation: "", contactees: [], chosenFrom: "", chosenTo: {} };
    this.suggestion = null;
    this.asking = null;
    this.row.hidden = true;
    this.row.replaceChildren();
  }

  // For a message to these in a conversation; "": in a new one. contactees: {member, identifiers}.
  // What was chosen is forgotten where it is another message. Resolves when it is presented.
  present(conversation, contactees) {
    const key = JSON.stringify([conversation, contactees]);
    if (key !== this.key) {
      this.reset();
      this.key = key;
      this.asked = { conversation, contactees, chosenFrom: "", chosenTo: {} };
      this.asking = this.ask();
    }
    return this.asking;
  }

  // What a message says of it, once it is presented. Throws what asking threw; then it is asked anew.
  async addressing(conversation, contactees) {
    try {
      await this.present(conversation, contactees);
    } catch (failure) {
      this.reset();
      throw failure;
    }
    const { contactor, contactees: to } = this.suggestion;
    const chosen = to.filter(({ member, choice }) => choice.identifier && choice.identifier !== member);
    return {
      fromIdentifier: contactor?.identifier ?? "",
      toIdentifiers: Object.fromEntries(chosen.map((one) => [one.member, one.choice.identifier])),
    };
  }

  async ask() {
    const { key } = this;
    const found = await call("Suggest", this.asked, "IdentityService");
    if (key !== this.key) return;
    this.suggestion = found;
    this.paint();
  }

  choose(change) {
    change();
    this.asking = this.ask();
    this.asking.catch(this.failed);
  }

  paint() {
    const { contactor, contactees, warnings } = this.suggestion;
    const focused = this.row.contains(document.activeElement) ? document.activeElement.name : "";
    const rows = [];
    if ((contactor?.ranked ?? []).length > 1) {
      rows.push(choiceOf("From", "from", contactor, (picked) => { this.asked.chosenFrom = picked; }, this));
    }
    for (const { member, choice } of contactees) {
      if ((choice?.ranked ?? []).length < 2) continue;
      const label = `To ${shortName(member)}`;
      rows.push(choiceOf(label, member, choice, (picked) => { this.asked.chosenTo[member] = picked; }, this));
    }
    for (const one of warnings) {
      rows.push(element("p", { class: "warning", role: "status" }, one.text.replaceAll(/(mailto|tel):/g, "")));
    }
    this.row.replaceChildren(...rows);
    this.row.hidden = rows.length === 0;
    if (focused) this.row.querySelector(`select[name="${CSS.escape(focused)}"]`)?.focus();
  }
}

function choiceOf(label, name, choice, picked, identities) {
  const why = (choice.why ?? []).map((one) => `${one.rule}: ${one.clause}`).join("; ");
  const options = choice.ranked.map((one) =>
    element("option", { value: one.identifier, selected: one.identifier === choice.identifier }, plain(one.identifier)));
  const select = element("select", { name, title: why }, ...options);
  select.addEventListener("change", () => identities.choose(() => picked(select.value)));
  return element("label", { class: choice.chosen ? "chosen" : null }, element("span", { dir: "auto" }, label), select);
}
