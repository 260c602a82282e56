// A run's recorded invocations once more, with other versions of their scripts; nobody is called.

import { path, post } from "../lib/api.js";
import { badge, empty, field, form, h, panel, replace, select } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { pretty, valueDiff } from "../lib/json.js";
import { versionsOf } from "./detail.js";

/** A panel to choose versions in and to see what they would have done. */
export async function replayPanel(run, rows) {
  const used = new Map(rows.filter((row) => row.kind === "hook").map((row) => [row.invocation.script, row.invocation.version]));
  if (used.size === 0) return panel("Replay", empty("No script ran in this run, so there is nothing to replay."));
  const choices = await Promise.all([...used].map(async ([script, ran]) => {
    const versions = await versionsOf(script);
    const options = versions.map((version) => [version, `version ${version}${version === ran ? " (ran)" : ""}`]);
    return [script, select(options, versions[0])];
  }));
  const result = h("div", { class: "stack", "aria-live": "polite" });
  const start = async () => {
    const scripts = Object.fromEntries(choices.map(([script, control]) => [script, Number(control.value)]));
    replace(result, outcome(await post(path`/v1/runs/${run.id}/replay`, { scripts })));
  };
  return panel("Replay",
    h("p", { class: "soft" }, "Each hook gets its recorded input again. Nobody is called and nothing is written."),
    form({ class: "filters", "aria-label": "Replay" }, start, choices.map(([script, control]) => field(script, control)),
      h("button", { type: "submit", class: "primary" }, "Replay")),
    result);
}

function outcome({ same, invocations }) {
  const differing = invocations.filter((invocation) => !invocation.same).length;
  const words = same ? "All invocations decide the same." : `${differing} of ${invocations.length} invocations differ.`;
  return [h("p", {}, badge(same ? "same" : "differs"), " ", words), invocations.map(compared)];
}

/** One invocation then and now. */
export function compared(invocation) {
  const { step, hook, script, same, version_before: then, version_after: now, before, after, note } = invocation;
  const fuel = invocation.fuel_before === invocation.fuel_after ? `fuel ${format.amount(invocation.fuel_after)}`
    : `fuel ${format.amount(invocation.fuel_before)} → ${format.amount(invocation.fuel_after)}`;
  return h("details", { open: !same, class: "compared" },
    h("summary", {}, badge(same ? "same" : "differs"), ` ${step} · ${hook} · ${script} v${then}${then === now ? "" : ` → v${now}`} `, h("span", { class: "soft" }, fuel)),
    note && h("p", { class: "note" }, note),
    pretty(before) === pretty(after) ? empty("What it made is the same.") : valueDiff(before, after, "Then and now"));
}
