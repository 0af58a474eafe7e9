// Keys besides Tab and Enter: arrows go through the conversations, Escape leads back to them; Enter
// sends what is written.

export function arrowKeys(list, back) {
  list.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || !links[to]) return;
    event.preventDefault();
    links[to].focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    const field = document.activeElement;
    if (field?.value) return; // nothing that somebody wrote is left behind
    back();
  });
}

export function grow(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

// A field that grows with what is written; Shift and Enter begins a new line.
export function enterSends(field, form) {
  field.addEventListener("input", () => grow(field));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
}
