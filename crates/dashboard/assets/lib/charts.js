// Small pictures of numbers. Each says in words what it shows, and its numbers are reachable without seeing it.

import { h, svg, table } from "./dom.js";

/** The legend of a picture: `[[class, text], …]`. */
export function legend(entries) {
  return h("ul", { class: "legend" }, entries.map(([kind, text]) => h("li", {}, h("i", { class: `f-${kind}` }), text)));
}

/** The next number that is round and even to halve. */
export function roundUp(value) {
  if (value <= 5) return Math.max(1, Math.ceil(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

/** On a phone the picture is drawn narrower, so that its words stay as large as others. */
const WIDTH = matchMedia("(max-width: 859px)").matches ? 330 : 820;
const HEIGHT = 190;
const LEFT = 38;
const BOTTOM = 22;

/**
 * Columns over time, each a stack. `columns`: `[{label, axis, values: {kind: count}}]`; `kinds`: `[[kind, text], …]` from the bottom up. A kind is a
 * class of style.css. `label` names the picture.
 */
export function stacked(columns, kinds, label) {
  const total = (column) => kinds.reduce((sum, [kind]) => sum + (column.values[kind] ?? 0), 0);
  const top = roundUp(Math.max(1, ...columns.map(total)));
  const width = (WIDTH - LEFT) / Math.max(1, columns.length);
  const y = (value) => (HEIGHT - BOTTOM) * (1 - value / top) + 6;
  const marks = [0, top / 2, top].filter(Number.isInteger);
  const every = Math.ceil(columns.length / (WIDTH / 110));
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT + 10}`, role: "img", "aria-label": label },
    marks.map((mark) => [
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(mark), y2: y(mark) }),
      svg("text", { x: LEFT - 8, y: y(mark) + 4, "text-anchor": "end" }, mark),
    ]),
    columns.map((column, at) => stack(column, kinds, { x: LEFT + at * width, width, y })),
    columns.map((column, at) => at % every === 0 &&
      svg("text", tick(LEFT + at * width), column.axis)));
  return h("figure", { class: "figure" }, picture, legend(kinds), numbers(columns, kinds, label));
}

/** Words under the axis begin at their column, or end there where they would leave the picture. */
function tick(x) {
  const atTheEnd = x > WIDTH - 60;
  return { x: atTheEnd ? WIDTH : x, y: HEIGHT + 6, "text-anchor": atTheEnd ? "end" : "start" };
}

function stack(column, kinds, { x, width, y }) {
  let below = 0;
  const gap = width > 4 ? 1 : 0;
  const parts = kinds.flatMap(([kind]) => {
    const value = column.values[kind] ?? 0;
    if (value === 0) return [];
    const bar = svg("rect", { class: `f-${kind}`, x: x + gap / 2, width: width - gap, y: y(below + value), height: y(below) - y(below + value) });
    below += value;
    return [bar];
  });
  const words = kinds.filter(([kind]) => column.values[kind]).map(([kind, text]) => `${column.values[kind]} ${text}`);
  return svg("g", { class: "column" }, svg("title", {}, `${column.label}: ${words.join(", ") || "nothing"}`), parts);
}

/** The same as a table, folded away: for who cannot see the picture, and who wants to copy it. */
function numbers(columns, kinds, label) {
  const rows = columns.filter((column) => kinds.some(([kind]) => column.values[kind]))
    .map((column) => [column.label, ...kinds.map(([kind]) => column.values[kind] ?? 0)]);
  return h("details", {}, h("summary", {}, "Numbers"),
    table(label, ["Time", ...kinds.map(([, text]) => ({ text, class: "num" }))], rows));
}

/**
 * Horizontal bars, each of several parts on one scale. `bars`: `[{name, words, parts: [[kind, value, text], …]}]`; `name` may be an element.
 */
export function horizontal(bars, label) {
  const longest = Math.max(...bars.map((bar) => bar.parts.reduce((sum, [, value]) => sum + value, 0)), Number.MIN_VALUE);
  return h("ul", { class: "hbars", "aria-label": label }, bars.map((bar) =>
    h("li", { class: "hbar" },
      h("div", { class: "words" }, h("span", {}, bar.name), h("span", {}, bar.words)),
      h("div", { class: "track", "aria-hidden": "true" }, bar.parts.filter(([, value]) => value > 0).map(([kind, value, text]) =>
        h("span", { class: `f-${kind}`, title: text, vars: { "--w": `${(value / longest) * 100}%` } }))))));
}

/** How much of a limit is used, as a bar with words. Red near the end. */
export function meter(name, used, allowed, words) {
  const part = allowed > 0 ? Math.min(1, used / allowed) : 0;
  const kind = part >= 0.95 ? "failed" : part >= 0.8 ? "partial" : "accent";
  return h("div", { class: "meter" },
    h("div", { class: "words" }, h("span", {}, name), h("span", {}, words)),
    h("div", { class: "track", "aria-hidden": "true" }, part > 0 && h("span", { class: `f-${kind}`, vars: { "--w": `${part * 100}%` } })));
}
