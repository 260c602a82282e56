// A run's record and its history as bars on one time axis. Times are microseconds since 1970.

/** A time of the API in microseconds; `Date` knows milliseconds only. */
export function stamp(text) {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  const whole = Date.parse(text.replace(/\.\d+/, "")) * 1000;
  return whole + Math.floor(Number(`0.${fraction || 0}`) * 1e6);
}

/**
 * The rows of a run's picture, in order: `{kind, id, label, note, start, end, bad, depth, …}`. Kinds: `step`, `hook` (with `invocation`), `request`
 * (with `attempt`), `wait` (with `wait`). `id` stays the same when the run goes on.
 */
export function rows(run, events) {
  const rows = [];
  const counts = new Map();
  if (run.trigger) rows.push(hook(run.trigger, "trigger", 0, counts));
  run.steps.forEach((step, at) => {
    const inside = [
      ...step.hooks.map((invocation) => hook(invocation, step.name, 1, counts, at)),
      ...step.attempts.flatMap((attempt, i) => attemptRows(step, at, attempt, i, events, counts)),
      ...(step.waits ?? []).map((wait, i) => waiting(wait, at, i)),
    ].sort((a, b) => a.start - b.start);
    const start = Math.min(...inside.map((row) => row.start));
    const end = Math.max(...inside.map((row) => row.end));
    rows.push({ kind: "step", id: `step-${at}`, label: step.name, status: step.status, step, depth: 0, bad: step.status === "failed",
      start: Number.isFinite(start) ? start : stamp(run.started_at), end: Number.isFinite(end) ? end : stamp(run.started_at) });
    rows.push(...inside);
  });
  return rows;
}

/** From the first thing to the last, or to now while the run goes on. */
export function span(run, rows, now = Date.now()) {
  const start = Math.min(stamp(run.started_at), ...rows.map((row) => row.start));
  const last = Math.max(...rows.map((row) => row.end), run.ended_at ? stamp(run.ended_at) : now * 1000);
  return { start, end: Math.max(last, start + 1) };
}

/** `occurrence`: which of the invocations of this script at this hook of this step it is, by which a replay is matched with it. */
function hook(invocation, stepName, depth, counts, at = "t") {
  const key = [stepName, invocation.hook, invocation.script].join("\n");
  const occurrence = counts.get(key) ?? 0;
  counts.set(key, occurrence + 1);
  const start = stamp(invocation.started_at);
  return { kind: "hook", id: `hook-${at}-${invocation.hook}-${invocation.script}-${occurrence}`, label: invocation.hook === "step" ? "script" : invocation.hook,
    note: `${invocation.script} v${invocation.version}`, start, end: start + invocation.duration_us, bad: invocation.fault !== null,
    depth, invocation, key, occurrence };
}

function attemptRows(step, at, attempt, index, events, counts) {
  const hooks = attempt.hooks.map((invocation) => hook(invocation, step.name, 1, counts, at));
  if (!attempt.request) return hooks;
  const { start, end } = requestSpan(step, attempt, index, events, hooks);
  const status = attempt.response?.status;
  // A polling asks again until it is answered what it waits for; that is no failure.
  const asksAgain = (step.waits ?? []).some((wait) => wait.reason === "polling" && wait.after === index + 1);
  // It has left, and nobody has written down an answer.
  const underWay = !attempt.response && attempt.error === null;
  const failed = !asksAgain && !underWay && (attempt.error !== null || !status);
  const note = `${attempt.request.method} ${hostAndPath(attempt.request.url)}`;
  const label = step.attempts.length > 1 ? `request ${index + 1}` : "request";
  return [...hooks, { kind: "request", id: `request-${at}-${index}`, label, note, status: status || null, underWay, start,
    end: underWay ? Math.max(end, Date.now() * 1000) : end, bad: failed, depth: 1, attempt, step }];
}

/** As the history has it, and no more than what the hooks before and after it leave of the time. */
function requestSpan(step, attempt, index, events, hooks) {
  const of = (kind) => events.find((event) => event.kind === kind && event.step === step.name && event.attempt === index + 1);
  const [began, ended] = [of("request-started"), of("request-ended")];
  const whole = stamp(attempt.started_at);
  const before = hooks.filter((row) => row.invocation.hook === "pre-request").map((row) => row.end);
  const after = hooks.filter((row) => row.invocation.hook === "post-request").map((row) => row.start);
  const [told, until] = [began ? stamp(began.at) : whole, ended ? stamp(ended.at) : whole];
  const start = Math.max(whole, told, ...before);
  // Of the same moment twice the history says that it was written at once, and not when it was.
  const last = until > told ? until : whole + attempt.duration_ms * 1000;
  return { start, end: Math.max(start, Math.min(last, ...after)) };
}

function waiting(wait, at, index) {
  const start = stamp(wait.since);
  return { kind: "wait", id: `wait-${at}-${index}`, label: "wait", note: wait.reason, start, end: wait.ended_at ? stamp(wait.ended_at) : Math.max(start, Date.now() * 1000),
    bad: false, depth: 1, wait };
}

function hostAndPath(text) {
  try {
    const url = new URL(text);
    return url.host + url.pathname;
  } catch {
    return text;
  }
}
