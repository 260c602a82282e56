// Promotion: the last runs once more with another version, what differs, and then that version where the old one is bound.

import { path, post } from "../lib/api.js";
import { badge, button, empty, field, h, panel, replace, say, select, table } from "../lib/dom.js";
import { bindVersion } from "../lib/definitions.js";
import { amount, moment, percent, shortId } from "../lib/format.js";
import { valueDiff } from "../lib/json.js";
import { may } from "../lib/session.js";
import { chosen, head, scriptOf } from "./head.js";
import { address } from "./list.js";
import { runName, runsWith } from "./samples.js";
import { bindingsOf, placeLink } from "./versions.js";

/** Replays at once: each takes a place of the tenant's. */
const AT_ONCE = 3;

export async function showPromotion(main, params) {
  const [name] = params;
  const { signal } = params;
  const [script, bindings] = await Promise.all([scriptOf(name, signal), bindingsOf(name, signal)]);
  const version = chosen(script, params);
  const others = bindings.filter((bound) => bound.version !== version.version && version.hooks.includes(bound.hook));
  // Who promotes an older version means to go back, which is ticked by hand.
  const boxes = others.map((bound) => ({ bound, box: h("input", { type: "checkbox", checked: bound.version < version.version }) }));
  const result = h("div", { class: "stack", "aria-live": "polite" });
  const promoting = button(`Promote version ${version.version}`, () => promote(name, version.version, boxes), "primary", { disabled: true });
  const state = { name, version: version.version, result, promoting, signal, boxes };
  main.append(
    ...head(name, "promote", version.version),
    panel("1. What is promoted", h("div", { class: "fields" }, versionField(script, version)), places(boxes, version)),
    panel("2. The last runs again, calling nobody", replayForm(state), result),
    panel("3. Bind it", h("p", { class: "soft" }, "Once the replay has been shown, the version takes the place of those that are ticked above."),
      h("div", { class: "actions" }, promoting)));
}

function versionField(script, version) {
  const control = select(script.versions.map((one) => [one.version, `Version ${one.version}`]), version.version);
  control.addEventListener("change", () => {
    location.hash = address(script.name, "promote", control.value);
  });
  return field("Version", control);
}

function places(boxes, version) {
  if (boxes.length === 0) return empty(`No other version of this script is bound at a hook that version ${version.version} has.`);
  const item = ({ bound, box }) => h("li", {}, h("label", { class: "check" }, box, h("span", {}, `version ${bound.version} at `, placeLink(bound))));
  return h("ul", { class: "plain" }, boxes.map(item));
}

function replayForm(state) {
  if (!may("invoke")) return empty("To replay runs needs a token with the scope invoke, as it shows what went in and out.");
  const count = select([10, 50, 200, 500].map((n) => [n, `the last ${n} runs`]), 50);
  const replaying = button("Replay", () => replayRuns(state, Number(count.value)));
  return h("div", { class: "filters" }, field("How many", count), replaying);
}

/** Replays the runs a few at a time and shows what came of each. */
async function replayRuns(state, count) {
  const { name, version, result, signal } = state;
  state.promoting.disabled = true;
  const runs = await runsWith(name, count, signal);
  if (runs.length === 0) {
    replace(result, empty("No recorded run has invoked this script, so there is nothing to compare with."));
    state.promoting.disabled = state.boxes.length === 0;
    return;
  }
  const bar = h("progress", { max: runs.length, value: 0, "aria-label": "Runs replayed" });
  replace(result, h("div", { class: "row" }, bar, h("span", { class: "soft" }, `${runs.length} runs`)));
  const rows = new Array(runs.length);
  let next = 0;
  const worker = async () => {
    while (next < runs.length) {
      const at = next;
      next += 1;
      rows[at] = await replayed(runs[at], name, version, signal);
      bar.value += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  replace(result, summary(rows), details(rows));
  // Where nothing could be replayed nothing is known of the version.
  state.promoting.disabled = state.boxes.length === 0 || rows.every((row) => row.error);
}

/** One run again: what its invocations of the script did, and what they spent. */
async function replayed(run, name, version, signal) {
  try {
    const { invocations } = await post(path`/v1/runs/${run.id}/replay`, { scripts: { [name]: version } }, { signal });
    const ours = invocations.filter((one) => one.script === name);
    const sum = (key) => ours.reduce((total, one) => total + one[key], 0);
    return { run, differing: ours.filter((one) => !one.same), before: sum("fuel_before"), after: sum("fuel_after") };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { run, error: error.message };
  }
}

function summary(rows) {
  const compared = rows.filter((row) => !row.error);
  const differing = compared.filter((row) => row.differing.length > 0).length;
  const [before, after] = ["before", "after"].map((key) => compared.reduce((sum, row) => sum + row[key], 0));
  const change = before > 0 && after !== before ? ` (${after >= before ? "+" : "−"}${percent(Math.abs(after - before) / before)})` : "";
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return h("dl", { class: "facts", id: "replay-summary" },
    fact("Decide the same", `${compared.length - differing} of ${compared.length}`),
    fact("Differ", String(differing)),
    fact("Could not be replayed", String(rows.length - compared.length)),
    fact("Fuel before", amount(before)),
    fact("Fuel after", amount(after) + change));
}

function details(rows) {
  const cells = (row) => [
    h("a", { href: `#/runs/${row.run.id}` }, shortId(row.run.id)),
    row.error ? [badge("not replayed", "warn"), " ", h("span", { class: "soft" }, row.error)] : outcome(row),
    runName(row.run),
    row.error ? "–" : amount(row.before),
    row.error ? "–" : amount(row.after),
    h("time", { datetime: row.run.started_at, class: "nowrap" }, moment(row.run.started_at)),
  ];
  // What differs comes first: that is what is looked for.
  const order = [...rows].sort((a, b) => (b.differing?.length ?? 0) - (a.differing?.length ?? 0));
  const number = (text) => ({ text, class: "num" });
  return table("Replayed runs", ["Run", "Outcome", "Of", number("Fuel before"), number("Fuel after"), "Began"], order.map(cells));
}

function outcome({ differing }) {
  if (differing.length === 0) return badge("same");
  return differing.map((one) => h("details", {},
    h("summary", {}, badge("differs"), ` ${one.step} · ${one.hook}: ${one.before.decision?.kind ?? "fault"} → ${one.after.decision?.kind ?? "fault"}`),
    valueDiff(one.before, one.after, `${one.step}, ${one.hook}: before and after`)));
}

/** Binds the version at every ticked place, one definition after another. */
async function promote(name, version, boxes) {
  const wanted = boxes.filter(({ box }) => box.checked).map(({ bound }) => bound);
  if (wanted.length === 0) throw new Error("Tick at least one place above.");
  const documents = new Map(wanted.map((bound) => [`${bound.kind}/${bound.name}`, bound]));
  let changed = 0;
  for (const { kind, name: document } of documents.values()) {
    const here = wanted.filter((bound) => bound.kind === kind && bound.name === document);
    changed += await bindVersion(kind, document, name, version, here);
  }
  say(`Version ${version} of ${name} is bound at ${changed} ${changed === 1 ? "place" : "places"}.`, "good");
  location.hash = address(name, "", version);
}
