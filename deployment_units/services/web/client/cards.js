// Cards as the renderer of Adaptive Cards shows them, behind our profile: no image of others, links
// that say where they lead, buttons that were pressed as often as they may be.

import { host, markdown } from "./markdown.js";

const FONT = "inherit";
const tones = (names) =>
  Object.fromEntries(
    names.map((name) => {
      const colour = `var(--card-${name})`;
      return [name, { default: colour, subtle: name === "default" ? "var(--card-subtle)" : colour }];
    }),
  );
const FOREGROUND = tones(["default", "good", "warning", "attention", "accent"]);
FOREGROUND.light = FOREGROUND.dark = FOREGROUND.default;
const style = (background) => ({ backgroundColor: background, foregroundColors: FOREGROUND });

const HOST = {
  fontFamily: FONT,
  supportsInteractivity: true,
  fontSizes: { small: 13, default: 15, medium: 17, large: 20, extraLarge: 25 },
  fontWeights: { lighter: 300, default: 400, bolder: 650 },
  spacing: { small: 4, default: 9, medium: 14, large: 20, extraLarge: 28, padding: 12 },
  separator: { lineThickness: 1, lineColor: "var(--line)" },
  containerStyles: {
    default: style("transparent"), emphasis: style("var(--card-emphasis)"),
    good: style("rgb(40 160 90 / 12%)"), attention: style("rgb(210 60 50 / 12%)"),
    warning: style("rgb(200 130 20 / 14%)"), accent: style("rgb(80 110 240 / 12%)"),
  },
  actions: {
    maxActions: 100, buttonSpacing: 8, actionsOrientation: "horizontal", actionAlignment: "left",
    showCard: { actionMode: "inline", inlineTopMargin: 12, style: "emphasis" },
  },
  adaptiveCard: { allowCustomStyle: false },
  inputs: {
    label: {
      inputSpacing: 0,
      requiredInputs: { weight: "bolder", color: "default", suffix: " *", suffixColor: "attention" },
      optionalInputs: { weight: "bolder", color: "default" },
    },
    errorMessage: { color: "attention", weight: "default", spacing: "small" },
  },
};

// A copy of the document as it is rendered. pressed: ids of actions that can be pressed no more.
export function prepared(node, pressed = new Set()) {
  if (Array.isArray(node)) return node.map((one) => prepared(one, pressed));
  if (node === null || typeof node !== "object") return node;
  const found = {};
  for (const [name, value] of Object.entries(node)) {
    if (name === "data") found[name] = value;
    else if (name === "images" && node.type === "ImageSet") found[name] = [];
    else found[name] = prepared(value, pressed);
  }
  if (found.type === "Image") return words(found);
  if (found.type === "Action.OpenUrl") {
    const where = host(found.url ?? "");
    if (!where) found.isEnabled = false;
    found.title = `${found.title ?? ""} ↗ ${where}`.trim();
  }
  if (pressed.has(found.id) && /^Action\.(Submit|Execute)$/.test(found.type)) {
    found.isEnabled = false;
  }
  return found;
}

// What stands for an image: what it would say.
function words(image) {
  const text = { type: "TextBlock", text: image.altText ?? "", wrap: true, isSubtle: true };
  const found = { type: "Container", items: image.altText ? [text] : [] };
  for (const name of ["id", "isVisible", "selectAction"]) {
    if (name in image) found[name] = image[name];
  }
  return found;
}

// An element with the card; press(action id, title, inputs) is called by its buttons.
export function rendered(document_, pressed, press) {
  const AC = globalThis.AdaptiveCards;
  const card = new AC.AdaptiveCard();
  card.hostConfig = new AC.HostConfig(HOST);
  AC.AdaptiveCard.onProcessMarkdown = (text, result) => {
    result.outputHtml = markdown(text);
    result.didProcess = true;
  };
  card.onAnchorClicked = (element, anchor) => !host(anchor.href);
  card.onExecuteAction = (action) => {
    if (action instanceof AC.OpenUrlAction) {
      if (host(action.url)) globalThis.open(action.url, "_blank", "noopener,noreferrer");
      return;
    }
    const inputs = {};
    for (const [id, input] of Object.entries(action.getReferencedInputs() ?? {})) {
      if (input.value !== undefined && input.value !== null) inputs[id] = String(input.value);
    }
    press(action.id, action.title || action.tooltip || "Submit", inputs);
  };
  card.parse(prepared(document_, pressed));
  const element = card.render();
  const around = document.createElement("div");
  around.className = "card";
  around.dir = document_.rtl === true ? "rtl" : "auto";
  if (element) {
    element.style.padding = "0";
    around.append(element);
  }
  return around;
}

// Ids of actions that the presses leave nothing to do: all but those that may repeat.
export function spent(document_, presses) {
  const repeating = new Set();
  const look = (node) => {
    if (Array.isArray(node)) node.forEach(look);
    else if (node && typeof node === "object") {
      if (node.once === "repeat") repeating.add(node.id);
      Object.values(node).forEach(look);
    }
  };
  look(document_);
  const counted = presses.filter((one) => /WAITING|DONE/.test(one.state));
  return new Set(counted.map((one) => one.action).filter((id) => !repeating.has(id)));
}

// What a button is called, by its id.
export function titleOf(document_, id) {
  let found = "";
  const look = (node) => {
    if (Array.isArray(node)) node.forEach(look);
    else if (node && typeof node === "object") {
      if (node.id === id && /^Action\./.test(node.type ?? "")) found ||= node.title ?? "";
      Object.values(node).forEach(look);
    }
  };
  look(document_);
  return found || "the button";
}
