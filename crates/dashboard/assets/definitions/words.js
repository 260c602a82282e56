// Words about parts of definitions.

import { seconds } from "../lib/format.js";

/** The scripts of a list of bindings, each once, with the versions that are bound. */
export function scriptNames(bound) {
  const names = new Map();
  for (const { binding } of bound) {
    const versions = names.get(binding.script) ?? new Set();
    names.set(binding.script, versions.add(binding.version));
  }
  return [...names].map(([name, versions]) => `${name} v${[...versions].sort((a, b) => a - b).join(", v")}`).join("; ") || "–";
}

/** Which of the three kinds a step is, and what it acts on. */
export function actionOf(step) {
  if (step.call) return { kind: "call", target: step.call };
  if (step.script) return { kind: "script", target: step.script };
  return { kind: "request", target: `${step.method ?? (step.data === undefined ? "GET" : "POST")} ${step.url}` };
}

/**
 * Where a step may lead beside the next one, as `{kind, text}`: `ends` for ends of the run, `again` for what is done once more, `waits` for waits,
 * `on` for what goes on all the same.
 */
export function branchesOf(step) {
  const condition = step.continue_if && `${step.continue_if.response_notation} is ${JSON.stringify(step.continue_if.value)}`;
  return [
    step.polling && { kind: "again", text: `asks every ${seconds(step.polling.interval)} until ${condition}, ${step.polling.amount} times at most; then fails` },
    condition && !step.polling && { kind: "ends", text: `unless ${condition}: ends blocked` },
    step.async && { kind: "waits", text: `waits for a callback${step.async.timeout_s ? `, ${seconds(step.async.timeout_s)} at most` : ""}` },
    step.retry && { kind: "again", text: `fails: tries again, ${repeated(step.retry)}` },
    ...onError(step.on_error),
  ].filter(Boolean);
}

function onError(rule) {
  if (!rule) return [];
  const ignored = { kind: "on", text: "fails: goes on with the payload from before it; the run ends partial" };
  if (rule.policy === "ignore") return [ignored];
  if (rule.policy !== "retry") return [];
  const again = { kind: "again", text: `fails: tries again, ${repeated(rule)}` };
  return rule.ignore_final ? [again, ignored] : [again];
}

/** How often a failure is tried again, and when. */
export function repeated({ attempts, delay_s: delay, backoff }) {
  const times = `${attempts} ${attempts === 1 ? "time" : "times"} more`;
  const after = delay ? `, ${seconds(delay)} apart` : "";
  return `${times}${after}${backoff > 1 ? `, each wait ${backoff} times as long` : ""}`;
}

/** What a step keeps and takes. */
export function keptOf({ store_data: stored, save_as_file: saved, files }) {
  return [
    stored && Object.keys(stored).length > 0 && `stores ${Object.keys(stored).join(", ")}`,
    saved && `keeps the file ${saved}`,
    files && Object.keys(files).length > 0 && `sends ${Object.values(files).join(", ")}`,
  ].filter(Boolean).join(" · ");
}

/** Who may use a trigger. */
export function authOf(trigger) {
  if (trigger.auth?.signature) return `signed with ${trigger.auth.signature.secret}`;
  return trigger.auth === "none" ? "open to everybody" : "with a token";
}
