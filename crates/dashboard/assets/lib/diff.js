// What differs between two texts, line by line.

import { h } from "./dom.js";

/** Beyond this many cells the table of a plain comparison is too large; the middle is then shown as replaced. */
const MOST_CELLS = 4_000_000;

/**
 * The lines of both texts in one list of `{kind: "same" | "removed" | "added", text, before, after}`; `before` and `after` are line numbers
 * from 1 where the line is in that text. Lines are the same that `read` makes the same text of.
 */
export function diff(before, after, read = (line) => line) {
  const [olds, news] = [before.split("\n"), after.split("\n")];
  const [a, b] = [olds.map(read), news.map(read)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const kinds = middle(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const all = [...Array(start).fill("same"), ...kinds, ...Array(end).fill("same")];
  let i = 0;
  let j = 0;
  return all.map((kind) => {
    const line = { kind, text: kind === "removed" ? olds[i] : news[j] };
    if (kind !== "added") line.before = ++i;
    if (kind !== "removed") line.after = ++j;
    return line;
  });
}

/** The kinds of the lines between the first and the last difference, by the longest common subsequence. */
function middle(a, b) {
  const replaced = [...a.map(() => "removed"), ...b.map(() => "added")];
  if (a.length * b.length > MOST_CELLS) return replaced;
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      common[at] = a[i] === b[j] ? common[at + width + 1] + 1 : Math.max(common[at + width], common[at + 1]);
    }
  }
  const kinds = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      kinds.push("same");
      i += 1;
      j += 1;
    } else if (j === b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      kinds.push("removed");
      i += 1;
    } else {
      kinds.push("added");
      j += 1;
    }
  }
  return kinds;
}

const MARKS = { same: " ", removed: "−", added: "+" };
const SPOKEN = { removed: "removed: ", added: "added: " };

/** The difference as an element; `context` lines around each change are shown, and what lies between is counted. All lines where it is null. */
export function diffView(before, after, { label = "Difference", context = 3, read } = {}) {
  const lines = diff(before, after, read);
  const near = new Set();
  lines.forEach((line, at) => {
    if (line.kind === "same" && context !== null) return;
    for (let i = at - (context ?? 0); i <= at + (context ?? 0); i += 1) near.add(i);
  });
  if (!lines.some((line) => line.kind !== "same")) return h("p", { class: "empty" }, "Nothing differs.");
  const rows = [];
  let hidden = 0;
  const gap = () => hidden > 0 && rows.push(h("div", { class: "gap" }, `${hidden} equal ${hidden === 1 ? "line" : "lines"}`));
  lines.forEach((line, at) => {
    if (!near.has(at)) {
      hidden += 1;
      return;
    }
    gap();
    hidden = 0;
    rows.push(h("div", { class: `line ${line.kind}` },
      h("span", { class: "no", "aria-hidden": "true" }, line.before ?? ""),
      h("span", { class: "no", "aria-hidden": "true" }, line.after ?? ""),
      h("span", { class: "mark", "aria-hidden": "true" }, MARKS[line.kind]),
      h("code", {}, SPOKEN[line.kind] && h("span", { class: "hidden" }, SPOKEN[line.kind]), line.text)));
  });
  gap();
  return h("div", { class: "diff", role: "group", tabindex: "0", "aria-label": label }, rows);
}
