// A flow as a picture: what begins it, its steps in order, and where each may lead beside the next.

import { h, replace } from "../lib/dom.js";
import { HOOKS } from "../lib/definitions.js";
import { session } from "../lib/session.js";
import { bindingPanel } from "./binding.js";
import { chip, pipeline } from "./hooks.js";
import { actionOf, authOf, branchesOf, keptOf, repeated } from "./words.js";

const KINDS = { call: "call", script: "script", request: "request" };
const MARKS = { ends: "■", again: "↻", waits: "◷", on: "↷" };

/** `{name, document, signal, changed}`. */
export function picture({ name, document, signal, changed }) {
  const steps = document.steps.map((step, at) => h("li", { class: "node" }, stepBox({ step, at, signal, changed })));
  return h("ol", { class: "flow", "aria-label": `Steps of ${name}` },
    h("li", { class: "node begin" }, beginning(document, name, signal, changed)),
    steps,
    h("li", { class: "node finish" }, h("div", { class: "pill" }, "succeeded: the last payload")));
}

function beginning({ trigger, retry }, name, signal, changed) {
  const again = retry && h("p", { class: "branch again" }, h("span", { "aria-hidden": "true" }, MARKS.again), ` a failed run is tried again, ${repeated(retry)}`);
  if (!trigger) return [h("div", { class: "pill" }, "started over the API"), again];
  return [
    h("div", { class: "box" },
      h("div", { class: "row" }, h("span", { class: "kind trigger" }, "trigger"), h("strong", {}, `/t/${session.me.tenant}/${name}`), h("span", { class: "soft" }, authOf(trigger))),
      trigger.script ? own(trigger, "trigger", "the trigger", signal, changed) : h("p", { class: "note" }, "The request’s body is the first payload.")),
    again,
  ];
}

function stepBox({ step, at, signal, changed }) {
  const { kind, target } = actionOf(step);
  const kept = keptOf(step);
  const call = kind === "call" ? h("a", { href: `#/connectors/${encodeURIComponent(target.split("/")[0])}` }, target) : h("code", { class: "address" }, target);
  const box = h("div", { class: "box" },
    h("div", { class: "row" }, h("span", { class: `kind ${kind}` }, KINDS[kind]), h("h2", {}, step.name ?? `step-${at + 1}`), kind !== "script" && call),
    kept && h("p", { class: "note" }, kept),
    kind === "script" ? own(step, "step", step.name, signal, changed) : hooks(step, signal, changed));
  const branches = branchesOf(step).map(({ kind: way, text }) =>
    h("li", { class: `branch ${way}` }, h("span", { "aria-hidden": "true" }, MARKS[way]), ` ${text}`));
  return [box, branches.length > 0 && h("ul", { class: "branches", "aria-label": "Where it may lead" }, branches)];
}

/** Hooks of a step: drawn where it has some, else behind a summary, since most steps have none. */
function hooks(step, signal, changed) {
  const request = h("code", {}, step.call ?? step.method ?? "request");
  const way = pipeline({ owner: step, name: step.name, request, signal, changed });
  const count = HOOKS.reduce((sum, hook) => sum + (step.hooks?.[hook]?.length ?? 0), 0);
  const own = step.call ? "Hooks of this step, in place of the endpoint’s" : "Hooks";
  return h("details", { open: count > 0 }, h("summary", {}, count > 0 ? own : "No hooks of its own"), way);
}

/** The one script of a step or a trigger. */
function own(binding, hook, name, signal, changed) {
  const place = h("div", { class: "chips" });
  const details = h("div", { class: "detail" });
  const draw = () => replace(place, chip(binding, open));
  const open = async () => {
    const close = () => replace(details);
    const panel = await bindingPanel({
      binding, hook, signal, close,
      title: `Script of ${name}`,
      changed: () => {
        draw();
        changed();
      },
    });
    replace(details, panel);
    panel.querySelector("select")?.focus();
  };
  draw();
  return h("div", { class: "stack tight" }, place, details);
}
