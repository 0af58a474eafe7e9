// The Markdown of cards as HTML: bold, italics, links and lists; all else, and HTML, as it is
// written. A link is one to https, and says its host. Every text is escaped before anything is made
// of it, and what is made has no attribute but those below.

const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => ESCAPED[sign]);
}

export function host(address) {
  try {
    const url = new URL(address);
    const plain = url.protocol === "https:" && !url.username && !url.password;
    return plain ? url.host : "";
  } catch {
    return "";
  }
}

function inline(text) {
  const kept = [];
  const keep = (html) => `\u0000${kept.push(html) - 1}\u0000`;
  let found = text.replace(/\u0000/g, "\ufffd");
  found = found.replace(/\\([!-/:-@[-`{-~])/g, (_, sign) => keep(escaped(sign)));
  found = found.replace(/\[([^[\]\n]{1,500})\]\(\s{0,9}(\S{1,1000}?)\s{0,9}\)/g, (whole, words, address) => {
    const where = host(address);
    if (!where) return whole;
    const open = `<a href="${escaped(new URL(address).href)}" target="_blank" rel="noopener noreferrer nofollow">`;
    return keep(open) + words + keep(`</a> <small>(${escaped(where)})</small>`);
  });
  found = escaped(found).replace(/&amp;(#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});/gi, "&$1;");
  for (const [mark, tag] of [["\\*\\*", "strong"], ["__", "strong"], ["\\*", "em"], ["_", "em"]]) {
    const around = mark.includes("_") ? ["(?<![\\p{L}\\p{N}])", "(?![\\p{L}\\p{N}])"] : ["", ""];
    const pattern = `${around[0]}${mark}(?!\\s)([^\\n]{1,2000}?)(?<!\\s)${mark}${around[1]}`;
    found = found.replace(new RegExp(pattern, "gu"), `<${tag}>$1</${tag}>`);
  }
  return found.replace(/\u0000(\d+)\u0000/g, (_, place) => kept[Number(place)] ?? "");
}

export function markdown(text) {
  const blocks = [];
  for (const line of text.replace(/\r\n?/g, "\n").split("\n")) {
    const item = /^\s{0,3}(?:([-*+])|(\d{1,9})[.)])\s+(.*)$/.exec(line);
    const last = blocks.at(-1);
    if (item) {
      const kind = item[1] ? "ul" : "ol";
      if (last?.kind === kind) last.lines.push(item[3]);
      else blocks.push({ kind, start: item[2], lines: [item[3]] });
    } else if (!line.trim()) {
      blocks.push({ kind: "gap", lines: [] });
    } else if (last?.kind === "p") {
      last.lines.push(line);
    } else {
      blocks.push({ kind: "p", lines: [line] });
    }
  }
  return blocks
    .map(({ kind, start, lines }) => {
      if (kind === "gap") return "";
      if (kind === "p") return `<p>${lines.map(inline).join("<br>")}</p>`;
      const from = start ? ` start="${Number(start)}"` : "";
      return `<${kind}${from}>${lines.map((one) => `<li>${inline(one)}</li>`).join("")}</${kind}>`;
    })
    .join("");
}
