// Sample input of a test run: what each hook is usually given, or what a recorded run gave it.

import { get, path, post, query } from "../lib/api.js";

const JSON_HEADERS = { "content-type": "application/json" };
const ANSWER = { status: 200, headers: JSON_HEADERS, body: { ok: true } };

/** By hook, everything that it sees; the rest of a test run's body may be written beside it. */
const SAMPLES = {
  "pre-hook": { connector: "shop", endpoint: "create-order", arguments: { text: "four words in here" }, parms: {} },
  "pre-request": { request: { method: "POST", url: "https://api.example.com/orders", headers: JSON_HEADERS, body: { n: 1 } }, parms: {} },
  "post-request": { response: ANSWER, parms: {} },
  "post-hook": { arguments: {}, response: ANSWER, parms: {} },
  "post-fail": { arguments: {}, failure: { status: 503, code: "status", message: "503 is no accepted status" }, parms: {} },
  step: { payload: { n: 1 }, parms: {}, variables: {} },
  trigger: { request: { method: "POST", url: "https://hooks.example.com/t/orders", headers: JSON_HEADERS, body: { order: 1 } } },
};

export function sampleFor(hook) {
  return SAMPLES[hook] ?? {};
}

/** Every invocation in a run's record: `{step, attempt, …}` with what the record has of it, in order. */
export function invocationsOf(run) {
  const found = run.trigger ? [{ step: "trigger", ...run.trigger }] : [];
  for (const step of run.steps) {
    const attempts = step.attempts.flatMap((attempt) => attempt.hooks.map((hook) => ({ step: step.name, ...hook })));
    found.push(...step.hooks.map((hook) => ({ step: step.name, ...hook })), ...attempts);
  }
  return found;
}

const ENDED = ["succeeded", "partial", "failed", "blocked", "cancelled"];

/** Pages asked for at most. A page may be short where few runs invoked the script. */
const MOST_PAGES = 20;

/** The latest ended runs that invoked a script, newest first, at most `count`. */
export async function runsWith(script, count, signal) {
  const found = [];
  let cursor = null;
  let pages = 0;
  do {
    const page = await get(query("/v1/runs", { script, limit: 200, cursor }), { signal });
    found.push(...page.items.filter((run) => ENDED.includes(run.status)));
    cursor = page.next_cursor;
    pages += 1;
  } while (cursor && found.length < count && pages < MOST_PAGES);
  return found.slice(0, count);
}

/** What the invocations of a script in a run were given, in the form of a test run's body. */
export async function recordedInput(run, script, signal) {
  const { invocations } = await post(path`/v1/runs/${run}/replay`, {}, { signal });
  return invocations.filter((one) => one.script === script && one.given).map(({ step, hook, attempt, given }) => ({ step, hook, attempt, given: readable(given) }));
}

/** Bodies that are JSON text, as JSON: so they can be read and changed, and mean the same. */
function readable(given) {
  const opened = (message) => (message ? { ...message, body: json(message.body) } : message);
  const { request, response, ...rest } = given;
  return { ...(request && { request: opened(request) }), ...(response && { response: opened(response) }), ...rest };
}

function json(body) {
  if (typeof body !== "string" || !/^\s*[[{]/.test(body)) return body;
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

/** What a run is called in lists. */
export function runName(run) {
  return run.flow ?? run.call ?? "run";
}
