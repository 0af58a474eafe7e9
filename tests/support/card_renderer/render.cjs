// Renders Adaptive Cards with Microsoft's own renderer in jsdom, a card a line of stdin, and says
// what is there to read and to press, in order: {words: [text], actions: [[words before, title]]}.
// A card behind a button is taken to stand below that button; what is hidden and cannot be shown
// is left out, and so are buttons that only show and hide.
const { JSDOM } = require("jsdom");
const markdown = require("markdown-it")({ html: false, breaks: true });
const readline = require("readline");

const dom = new JSDOM("<!doctype html><body></body>");
globalThis.window = dom.window;
globalThis.document = dom.window.document;
for (const name of Object.getOwnPropertyNames(dom.window)) {
  if (/^(HTML|SVG).*Element$|^(Node|Element|Event|KeyboardEvent|MouseEvent)$/.test(name)) {
    globalThis[name] = dom.window[name];
  }
}
// jsdom has no layout, and so no innerText.
Object.defineProperty(dom.window.HTMLElement.prototype, "innerText", {
  get() { return this.textContent; },
  set(text) { this.textContent = text; },
});
const AC = require("adaptivecards/dist/adaptivecards.js");
AC.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdown.render(text);
  result.didProcess = true;
};
const host = new AC.HostConfig({ actions: { maxActions: 10000 }, supportsInteractivity: true });

function toggled(node, found) {
  if (Array.isArray(node)) node.forEach((one) => toggled(one, found));
  else if (node && typeof node === "object") {
    if (node.type === "Action.ToggleVisibility") {
      for (const one of node.targetElements || []) found.add(one.elementId || one);
    }
    Object.values(node).forEach((one) => toggled(one, found));
  }
  return found;
}

function parts(element, buttons, whole) {
  // Of the object model: the actions of each button that was rendered, and the action of each
  // element that is pressed as a whole.
  const collection = element._actionCollection;
  if (collection) {
    for (const action of collection._items) buttons.set(action.renderedElement, [action]);
    const more = collection._overflowAction;
    if (more) buttons.set(more.renderedElement, more.getActions());
  }
  if (element.inlineAction) {
    const button = element.renderedElement.querySelector(".ac-inlineActionButton");
    if (button) buttons.set(button, [element.inlineAction]);
  }
  if (element.selectAction) whole.set(element.renderedElement, element.selectAction);
  const count = element.getItemCount ? element.getItemCount() : 0;
  for (let place = 0; place < count; place++) parts(element.getItemAt(place), buttons, whole);
}

function read(card, shown) {
  const rendered = card.render();
  const words = [];
  const actions = [];
  const buttons = new Map();
  const whole = new Map();
  parts(card, buttons, whole);
  const before = () => words.join(" ").split(/\s+/).filter((one) => one && one !== "*").length;
  const press = (title) => actions.push([before(), title || ""]);
  const run = (action) => {
    const type = action.getJsonTypeName();
    if (type === "Action.ToggleVisibility") return;
    if (type !== "Action.ShowCard") return press(action.title || action.tooltip);
    words.push(action.title || action.tooltip || "More");
    const inside = read(action.card, shown);
    const above = before();
    for (const [place, title] of inside.actions) actions.push([above + place, title]);
    words.push(...inside.words);
  };
  const walk = (node) => {
    if (node.nodeType === 3) words.push(node.data);
    if (node.nodeType !== 1) return;
    if (node.style.display === "none" && !shown.has(node.id)) return;
    if (node.tagName === "OPTION" && (node.disabled || node.hidden)) return;
    if (buttons.has(node)) return buttons.get(node).forEach(run);
    for (const child of node.childNodes) walk(child);
    if (whole.has(node)) run(whole.get(node));
    else if (node.tagName === "A" && node.classList.contains("ac-anchor") && !node.closest("p")) press("");
  };
  if (rendered) walk(rendered);
  return { words, actions };
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const document_ = JSON.parse(line);
  const card = new AC.AdaptiveCard();
  card.hostConfig = host;
  let result;
  try {
    card.parse(document_);
    result = read(card, toggled(document_, new Set()));
  } catch (error) {
    result = { error: String(error) };
  }
  console.log(JSON.stringify(result));
});
