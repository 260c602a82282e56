// The picture of a run: rows of bars on one time axis. Each row is a button that opens what is behind its bar.

import { badge, h } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { legend } from "../lib/charts.js";

/** `open`: the id of the row that is open; `onopen(id)` is called with the new one, or null; `detail(row)` makes what an open row shows. */
export function waterfall(rows, { start, end }, { open, onopen, detail }) {
  const length = end - start;
  const at = (time) => `${((time - start) / length) * 100}%`;
  const marks = [0, 0.25, 0.5, 0.75, 1];
  return h("div", { class: "waterfall" },
    legend([["hook", "hook"], ["request", "request"], ["wait", "wait"], ["failed", "failed"]]),
    h("div", { class: "axis", "aria-hidden": "true" }, h("span"), h("span", { class: "ticks" }, marks.map((mark) =>
      h("span", { vars: { "--x": `${mark * 100}%` } }, mark === 0 ? "0" : format.micros(length * mark)))), h("span")),
    h("ol", { class: "bars", "aria-label": "What ran, in order" }, rows.map((row) => line(row, { at, length, start }, { open, onopen, detail }))));
}

function line(row, { at, length, start }, { open, onopen, detail }) {
  const took = format.micros(row.end - row.start);
  const bar = h("span", { class: "track", "aria-hidden": "true" },
    h("span", { class: `bar ${row.bad ? "f-failed" : `f-${row.kind}`} of-${row.kind}`, vars: { "--x": at(row.start), "--w": `${((row.end - row.start) / length) * 100}%` } }));
  const time = h("span", { class: "took" }, took);
  const name = h("span", { class: "label" }, h("span", { class: "what" }, row.label), " ", h("small", {}, row.note ?? ""), " ", outcome(row));
  if (row.kind === "step") return h("li", { class: "bar-row step" }, h("div", { class: "line-of" }, name, bar, time));
  const isOpen = row.id === open;
  const later = h("span", { class: "hidden" }, ` after ${format.micros(row.start - start)}${row.bad ? ", failed" : ""}`);
  const element = h("li", { class: "bar-row" },
    h("button", { type: "button", class: "line-of", "aria-expanded": String(isOpen), id: row.id, onclick: () => onopen(isOpen ? null : row.id) }, name, bar, time, later));
  if (isOpen) element.append(h("div", { class: "behind", role: "group", "aria-label": `${row.label} ${row.note ?? ""}` }, detail(row)));
  return element;
}

function outcome(row) {
  if (row.kind === "step") return row.status !== "succeeded" && badge(row.status);
  if (row.underWay) return badge("under way", "info");
  if (row.kind === "request") return row.status ? badge(String(row.status), row.status >= 400 ? "bad" : "good") : badge("no response", "bad");
  if (row.kind !== "hook") return null;
  const { fault, decision } = row.invocation;
  if (fault) return badge(fault.code, "bad");
  const quiet = ["none", "call", "send", "keep", "return"].includes(decision?.kind);
  return quiet ? null : decision && badge(decision.kind);
}
