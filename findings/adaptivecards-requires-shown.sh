#!/bin/sh
# npm adaptivecards 3.0.6: an element whose `requires` is not met is shown, unless it or something
# around it has a fallback.
#
# Expected: "Fallback content … if the element cannot be rendered. If not provided and an ancestor
# element has a fallback, the ancestor's fallback will be triggered. Otherwise, the element itself
# will be dropped" (the specification, https://github.com/microsoft/AdaptiveCards/issues/2019). An
# element of an unknown type without a fallback is dropped, as it says.
# What happens: the renderer marks the element and all around it as in want of a fallback, finds
# none, and renders the card as if nothing were required. With `"fallback": "drop"` it is dropped.
# Why it matters here: web clients render with it, mail and text with ours. What a card shows has to
# be the same, so `requires` is worked off before a card is kept, and clients never see the word
# (deployment_units/services/cards/profile.py).
#
# Needs Node.js 18 or newer. Exits with 1 when the element is dropped.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts adaptivecards@3.0.6 jsdom@26.1.0 >/dev/null
cat > show.cjs <<'NODE'
const { JSDOM } = require("jsdom");
const dom = new JSDOM("<!doctype html><body></body>");
globalThis.window = dom.window;
globalThis.document = dom.window.document;
for (const name of Object.getOwnPropertyNames(dom.window)) {
  if (/^HTML.*Element$/.test(name)) globalThis[name] = dom.window[name];
}
// jsdom has no layout, and so no innerText.
Object.defineProperty(dom.window.HTMLElement.prototype, "innerText", {
  set(text) { this.textContent = text; },
});
console.warn = console.log = () => {};
const AC = require("adaptivecards/dist/adaptivecards.js");
const shown = (what, element) => {
  const card = new AC.AdaptiveCard();
  card.parse({
    type: "AdaptiveCard", version: "1.5",
    body: [{ type: "TextBlock", text: "always." }, element],
  });
  const text = card.render().textContent;
  console.info(`${what}: "${text}"`);
  return text;
};
console.info("adaptivecards", require("adaptivecards/package.json").version);
const block = { type: "TextBlock", text: " needs what nobody has" };
const plain = shown("nothing required", block);
const unknown = shown("an unknown type", { ...block, type: "Graph" });
const drop = shown("not met, fallback drop", { ...block, requires: { nobodyHasThis: "1.0" }, fallback: "drop" });
const unmet = shown("not met, no fallback", { ...block, requires: { nobodyHasThis: "1.0" } });
if (plain !== "always. needs what nobody has" || unknown !== "always." || drop !== "always.") process.exit(2);
process.exit(unmet === plain ? 0 : 1);
NODE
node show.cjs
