// What is behind a bar: of a hook, a request or a wait.

import { get, path, send } from "../lib/api.js";
import { meter } from "../lib/charts.js";
import { append, badge, empty, h, replace, table } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { jsonView, sourceView, valueDiff } from "../lib/json.js";
import { tabs } from "../lib/tabs.js";
import { changed, opened } from "./changed.js";
import { stamp } from "./timeline.js";

/** `replayed()` gives the recorded invocations with what went in and came out, or throws. */
export function detail(row, replayed) {
  if (row.kind === "hook") return hook(row, replayed);
  return row.kind === "request" ? request(row) : wait(row);
}

function hook(row, replayed) {
  const { invocation } = row;
  const { usage, fault, decision } = invocation;
  return h("div", { class: "stack" },
    h("div", { class: "row" },
      h("a", { href: `#/scripts/${encodeURIComponent(invocation.script)}` }, `${invocation.script} version ${invocation.version}`),
      decision && h("span", {}, "decided ", badge(decision.kind)),
      decision?.status && h("span", {}, `status ${decision.status}`),
      decision?.reason_code !== undefined && h("span", {}, "reason code ", h("code", {}, String(decision.reason_code))),
      decision?.message && h("span", { class: "soft" }, `“${decision.message}”`)),
    fault && failure(fault),
    fault?.line && source(invocation, fault),
    h("div", { class: "fields" },
      meter("Fuel", usage.fuel, usage.fuel_limit, `${format.amount(usage.fuel)} of ${format.amount(usage.fuel_limit)}`),
      meter("Memory", usage.memory_bytes, usage.memory_limit_bytes, `${format.bytes(usage.memory_bytes)} of ${format.bytes(usage.memory_limit_bytes)}`),
      h("div", {}, h("span", { class: "soft" }, "Time in the sandbox "), format.micros(usage.wall_us))),
    logs(invocation),
    values(row, replayed));
}

function failure(fault) {
  const limit = fault.limit !== undefined && fault.limit !== null && ` (${format.limit(fault.code, fault.used ?? fault.limit)} of ${format.limit(fault.code, fault.limit)})`;
  const origin = fault.origin && ` in ${fault.origin.file}, line ${fault.origin.line}`;
  return h("p", { class: "problem" }, h("code", {}, fault.code), " ", fault.detail, limit, origin, " ",
    h("a", { href: `/errors/${encodeURIComponent(fault.code)}`, target: "_blank", rel: "noopener" }, "What it means"));
}

/** The author's source around the line that failed. */
function source({ script, version }, fault) {
  const place = h("div", {}, h("p", { class: "soft" }, "Loading the source…"));
  const load = async () => {
    const response = await send("GET", path`/v1/scripts/${script}/versions/${version}/source`);
    if (!response.ok) return replace(place, empty("The source is not there any more."));
    // A component was uploaded as WebAssembly; its line is of a file that its author has.
    if ((response.headers.get("content-type") ?? "").includes("wasm")) return replace(place, empty(`Line ${fault.line} of the component’s own source.`));
    const text = await response.text();
    return replace(place, sourceView(text, { marked: fault.line, column: fault.column, note: fault.detail, label: `${script} version ${version}` }));
  };
  load().catch((error) => replace(place, empty(error.message)));
  return place;
}

function logs(invocation) {
  if (invocation.logs.length === 0) return h("p", { class: "soft" }, "It logged nothing.");
  const begun = stamp(invocation.started_at);
  const rows = invocation.logs.map((entry) => h("li", { class: `log ${entry.level}` },
    h("span", { class: "num soft" }, `+${format.micros(Math.max(0, stamp(entry.at) - begun))}`),
    h("span", { class: "level" }, entry.level),
    h("code", {}, entry.message)));
  return h("section", { "aria-label": "Log" }, h("h3", {}, "Log"), h("ol", { class: "logs" }, rows));
}

/** What went in and what came out, as a replay of the recording shows it: calling nobody. */
function values(row, replayed) {
  const place = h("div", {}, h("p", { class: "soft" }, "Reading the recording…"));
  const load = async () => {
    const found = (await replayed()).get(`${row.key}\n${row.occurrence}`);
    if (!found) return replace(place, empty("This invocation was not recorded."));
    return replace(place, h("h3", {}, "What it did"), sides(found));
  };
  load().catch((error) => replace(place, empty(error.message)));
  return place;
}

function sides(found) {
  const came = opened(found.before);
  const given = found.given && opened(found.given);
  const pairs = given ? changed(found.hook, given, came) : [];
  const written = Object.entries({ variables: came.variables, meta: came.meta, "state of the flow": came.state?.flow, "state of the tenant": came.state?.tenant })
    .filter(([, values]) => values && Object.keys(values).length > 0);
  const section = (name, title, shown) => h("section", { "aria-label": name }, h("h3", {}, title), shown);
  const differences = () => {
    if (!given) return empty("What went in is too large to be shown.");
    if (pairs.length === 0 && written.length === 0) return empty("It changed nothing that goes on from here.");
    return h("div", { class: "stack" },
      pairs.map(([name, before, after]) => section(name, name, valueDiff(before, after, `${name}, before and after the hook`))),
      written.map(([name, value]) => section(name, `Wrote into ${name}`, jsonView(value, name))));
  };
  const others = [
    ["What went in", () => given ? jsonView(given, "What went in") : empty("It is too large to be shown.")],
    ["What came out", () => jsonView(came, "What came out")],
    ...(came.requests?.length > 0 ? [["Its own requests", () => came.requests.map((request) => jsonView(request, "Request"))]] : []),
  ];
  // What failed changed nothing; its input tells more.
  return tabs(came.fault ? others : [["Change", differences], ...others], `${found.hook} of ${found.script}`);
}

function request({ attempt, bad }) {
  const { request: sent, response, error } = attempt;
  return h("div", { class: "stack" },
    error && (bad ? failure(error) : h("p", { class: "soft" }, error.detail)),
    tabs([
      ["Request", () => message(`${sent.method} ${sent.url}`, sent)],
      ["Response", () => response && response.status !== 0 ? message(`Status ${response.status}`, response) : empty(response ? "There was no response." : "No response is known.")],
    ], "Request and response"),
    h("p", { class: "note" }, "Secrets read as their names in brackets."));
}

function message(first, { headers, body }) {
  const rows = Object.entries(headers ?? {}).flatMap(([name, value]) => [value].flat().map((text) => [h("code", {}, name), h("code", {}, text)]));
  return h("div", { class: "stack" },
    h("p", {}, h("code", { class: "address" }, first)),
    rows.length > 0 ? table("Headers", ["Header", "Value"], rows) : empty("No headers."),
    jsonView(body, "Body"));
}

function wait({ wait: { reason, since, until, ended_at: ended } }) {
  const WORDS = { retry: "for the next attempt", polling: "for the next request of a polling", callback: "for the upstream’s callback" };
  return append(h("p"), `It waited ${WORDS[reason] ?? reason}, from ${format.time(since)} `,
    ended ? `to ${format.time(ended)}` : `until ${format.time(until)} at the latest`, "; a waiting run holds nothing but its row.");
}

/** The versions of a script, newest first. */
export async function versionsOf(script) {
  const { versions } = await get(path`/v1/scripts/${script}`);
  return versions.map((version) => version.version).sort((a, b) => b - a);
}
