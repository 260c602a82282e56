// Values and source texts, shown so that people can read them.

import { diffView } from "./diff.js";
import { h } from "./dom.js";

/** A value larger than this is shown to its beginning; a browser would else think for seconds. */
const MOST_CHARACTERS = 200_000;

/** Any value as text: JSON indented, text as it is, and text that holds JSON indented as well. */
export function pretty(value) {
  if (value === undefined) return "";
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  const first = value.trimStart()[0];
  if (first !== "{" && first !== "[") return value;
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

/** A value as a block that can be scrolled and copied. */
export function jsonView(value, label = "Value") {
  let text = pretty(value);
  const cut = text.length - MOST_CHARACTERS;
  if (cut > 0) text = `${text.slice(0, MOST_CHARACTERS)}\n… ${cut} more characters`;
  return h("pre", { class: "code", tabindex: "0", role: "group", "aria-label": label }, h("code", {}, text === "" ? "(empty)" : coloured(text)));
}

/** Keys, texts, numbers and words of JSON in spans; other text as it is. */
function coloured(text) {
  if (!/^[[{]/.test(text) || text.length > 50_000) return text;
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g)) {
    parts.push(text.slice(last, match.index));
    const [all, quoted, colon, word] = match;
    if (colon) parts.push(h("span", { class: "j-key" }, quoted), colon);
    else parts.push(h("span", { class: quoted ? "j-text" : word ? "j-word" : "j-number" }, all));
    last = match.index + all.length;
  }
  parts.push(text.slice(last));
  return parts;
}

/** Two values as the lines that differ. A comma at the end of a line, which the next one brings, is no difference. */
export function valueDiff(before, after, label) {
  return diffView(pretty(before), pretty(after), { label, read: (line) => line.replace(/,$/, "") });
}

/** A source text with line numbers; the line `marked` stands out, with `note` under it, and is scrolled to. */
export function sourceView(text, { marked = null, column = null, note = null, label = "Source" } = {}) {
  const lines = text.replace(/\n$/, "").split("\n");
  const rows = lines.map((line, i) => {
    const here = i + 1 === marked;
    return [
      h("div", { class: here ? "line marked" : "line" },
        h("span", { class: "no", "aria-hidden": "true" }, i + 1),
        h("code", {}, here && h("span", { class: "hidden" }, `line ${marked}: `), line === "" ? " " : line)),
      here && note && h("div", { class: "line remark" },
        h("span", { class: "no" }),
        h("span", {}, column ? h("code", { "aria-hidden": "true" }, `${" ".repeat(column - 1)}^ `) : "", note)),
    ];
  });
  const view = h("div", { class: "source", role: "group", tabindex: "0", "aria-label": label }, rows);
  if (marked) {
    requestAnimationFrame(() => {
      const line = view.querySelector(".marked");
      if (line) view.scrollTop = line.offsetTop - view.clientHeight / 2;
    });
  }
  return view;
}
