// The test bench: one hook of a version on sample input, which may be taken from a recorded run.

import { path, post } from "../lib/api.js";
import { badge, busy, button, empty, field, h, panel, replace, say, select } from "../lib/dom.js";
import { editor, problemList } from "../lib/editor.js";
import { amount, bytes, micros, moment, percent } from "../lib/format.js";
import { jsonView, sourceView, valueDiff } from "../lib/json.js";
import { chosen, head, scriptOf, sourceOf } from "./head.js";
import { invocationsOf, recordedInput, runName, runsWith, sampleFor } from "./samples.js";

export async function showBench(main, params) {
  const [name] = params;
  const { signal } = params;
  const script = await scriptOf(name, signal);
  const version = chosen(script, params);
  main.append(...head(name, "test", version.version));
  if (version.hooks.length === 0) {
    main.append(empty("This version has no hooks: other scripts import it, and it is tested through them."));
    return;
  }
  const hook = select(version.hooks, version.hooks[0]);
  const input = await editor({ text: sampleText(hook.value), lines: 20, language: "json", label: "Sample input" });
  signal.addEventListener("abort", () => input.destroy());
  const problems = problemList();
  const result = h("div", { class: "stack", "aria-live": "polite" }, empty("What the hook decides is shown here."));
  const bench = { script, version, hook, input, problems, result, signal };
  hook.addEventListener("change", () => {
    input.text = sampleText(hook.value);
  });
  main.append(h("div", { class: "columns" },
    panel("Input",
      h("div", { class: "fields" }, versionField(script, version), field("Hook", hook)),
      recorded(bench),
      input.element,
      problems.element,
      h("div", { class: "actions" }, button("Run the test", () => run(bench), "primary"), h("small", {}, "Calls nobody, changes nothing."))),
    panel("Result", result)));
}

function sampleText(hook) {
  return JSON.stringify(sampleFor(hook), null, 2);
}

function versionField(script, version) {
  const control = select(script.versions.map((one) => [one.version, `Version ${one.version}`]), version.version);
  control.addEventListener("change", () => {
    location.hash = `#/scripts/${encodeURIComponent(script.name)}/test?version=${control.value}`;
  });
  return field("Version", control);
}

/** Two selects, filled on demand: a run that invoked the script, and an invocation in it. */
function recorded(bench) {
  const place = h("div", { class: "stack" });
  const begin = button("Take the input of a recorded run", async () => {
    const runs = await runsWith(bench.script.name, 50, bench.signal);
    if (runs.length === 0) {
      replace(place, empty("No recorded run has invoked this script yet."));
      return;
    }
    const run = select([["", "Choose a run"], ...runs.map((one) => [one.id, `${runName(one)}, ${one.status}, ${moment(one.started_at)}`])], "");
    const invocation = h("select", { disabled: true });
    run.addEventListener("change", () => busy(run, () => chooseIn(bench, runs.find((one) => one.id === run.value), invocation)));
    replace(place, h("div", { class: "fields" }, field("Run", run), field("Invocation", invocation)));
    run.focus();
  });
  place.append(h("div", { class: "actions" }, begin));
  return place;
}

/** Offers the invocations of a run, and takes the first of a hook that this version has. */
async function chooseIn(bench, run, control) {
  replace(control);
  control.disabled = true;
  if (!run) return;
  const failed = new Set(invocationsOf(run).filter((one) => one.fault).map((one) => `${one.step}/${one.hook}`));
  const inputs = (await recordedInput(run.id, bench.script.name, bench.signal)).filter((one) => bench.version.hooks.includes(one.hook));
  if (inputs.length === 0) throw new Error("The input of this run's invocations is not kept any more, or this version lacks their hooks.");
  const text = ({ step, hook, attempt }) => `${step} · ${hook}${attempt > 1 ? `, attempt ${attempt}` : ""}${failed.has(`${step}/${hook}`) ? ", failed" : ""}`;
  replace(control, inputs.map((one, at) => h("option", { value: at }, text(one))));
  control.disabled = false;
  const take = () => {
    const { hook, given } = inputs[Number(control.value)];
    bench.hook.value = hook;
    bench.input.text = JSON.stringify(given, null, 2);
  };
  control.onchange = take;
  take();
}

async function run(bench) {
  const { script, version, hook, problems, input } = bench;
  let sample;
  try {
    sample = JSON.parse(input.text);
  } catch (error) {
    problems.show([{ severity: "error", message: `The input is no JSON: ${error.message}`, ...placeIn(input.text, error.message) }], "", input);
    return;
  }
  problems.show([], "", input);
  const answer = await post(path`/v1/scripts/${script.name}/versions/${version.version}/test`, { ...sample, hook: hook.value });
  const source = answer.fault?.line && version.kind === "script" ? await sourceOf(script.name, version.version, bench.signal) : null;
  replace(bench.result, shown(answer, sample, hook.value, source));
  if (answer.fault) say(`The script failed: ${answer.fault.detail}`, "bad");
}

/** Engines say where JSON ends to be JSON in one of two ways. */
function placeIn(text, message) {
  const placed = /line (\d+) column (\d+)/.exec(message);
  if (placed) return { line: Number(placed[1]), column: Number(placed[2]) };
  const position = /position (\d+)/.exec(message);
  if (!position) return {};
  const before = text.slice(0, Number(position[1])).split("\n");
  return { line: before.length, column: before.at(-1).length + 1 };
}

function shown(answer, sample, hook, source) {
  return [answer.fault ? faultView(answer.fault, source) : decisionView(answer.decision), ...changes(answer, sample, hook), logs(answer.logs), usage(answer.usage)];
}

function decisionView(decision) {
  const { kind, ...rest } = decision;
  const words = Object.entries(rest).filter(([, value]) => value !== null && value !== undefined);
  return h("p", { class: "row" }, h("strong", {}, "Decision"), badge(kind), words.map(([name, value]) => h("span", {}, h("span", { class: "soft" }, `${name} `), String(value))));
}

/** A fault, in the author's source where that has the line. */
export function faultView(fault, source) {
  const note = `${fault.detail} [${fault.code}]`;
  return h("div", { class: "stack" },
    h("p", { class: "problem", role: "alert" }, fault.line ? `Line ${fault.line}: ` : "", note),
    source && sourceView(source, { marked: fault.line, column: fault.column, note: fault.detail, label: "Where the script failed" }));
}

/** What the hook made, as a difference from what it was given where both are there. */
function changes(answer, sample, hook) {
  const stepOrTrigger = hook === "step" || hook === "trigger";
  const payload = sample.payload ?? (stepOrTrigger ? sample.request?.body : sample.response?.body);
  const given = { arguments: sample.arguments ?? null, request: sample.request, payload };
  const parts = ["arguments", "request", "payload", "response", "variables", "meta", "state"].filter((part) => answer[part] !== undefined);
  return parts.map((part) => {
    const before = given[part];
    const comparable = before !== undefined && before !== null;
    const titles = { variables: "variables written", meta: "meta written", state: "state written" };
    return h("div", { class: "stack tight" }, h("h3", {}, titles[part] ?? part),
      comparable ? valueDiff(opened(before), opened(answer[part]), `What changed in ${part}`) : jsonView(opened(answer[part]), part));
  });
}

/** A message's body as a value where it is JSON, so that both sides are written the same way. */
function opened(value) {
  if (!value || typeof value !== "object" || typeof value.body !== "string") return value;
  try {
    return { ...value, body: JSON.parse(value.body) };
  } catch {
    return value;
  }
}

function logs(entries) {
  if (entries.length === 0) return null;
  return h("div", { class: "stack tight" }, h("h3", {}, "Logs"),
    h("ol", { class: "said" }, entries.map(({ level, message }) => h("li", {}, badge(level, "plain"), " ", h("code", {}, message)))));
}

function usage(spent) {
  const meter = (name, used, limit, text) => h("div", { class: "meter" },
    h("div", { class: "words" }, h("span", {}, name), h("span", {}, `${text(used)} of ${text(limit)} · ${percent(used / limit)}`)),
    h("div", { class: "track" }, h("span", { class: "f-hook", vars: { "--w": `${Math.min(100, (used / limit) * 100)}%` } })));
  return h("div", { class: "stack tight" }, h("h3", {}, "Spent"),
    meter("Fuel", spent.fuel, spent.fuel_limit, amount),
    meter("Memory", spent.memory_bytes, spent.memory_limit_bytes, bytes),
    h("p", { class: "soft" }, `${micros(spent.wall_us)} of wall time`));
}
