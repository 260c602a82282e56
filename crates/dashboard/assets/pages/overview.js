// What ran lately, as pictures.

import { get, query } from "../lib/api.js";
import { horizontal, legend, meter, stacked } from "../lib/charts.js";
import { append, badge, button, empty, h, heading, panel, replace, select, table } from "../lib/dom.js";
import * as format from "../lib/format.js";

const SPANS = [[3600, "Last hour"], [6 * 3600, "Last 6 hours"], [86_400, "Last day"], [7 * 86_400, "Last 7 days"]];
const OUTCOMES = [
  ["succeeded", "succeeded"], ["partial", "partial"], ["failed", "failed"], ["blocked", "blocked"], ["cancelled", "cancelled"], ["unfinished", "not ended"],
];
/** As people call them; others are shown as the API has them. */
const LIMIT_NAMES = { fuel: "Fuel", memory_bytes: "Memory", wall_ms: "Time" };

export async function show(main, params) {
  const span = select(SPANS, params.query.get("span") ?? 3600, { "aria-label": "Span of time" });
  const body = h("div", { class: "stack" });
  const draw = async () => replace(body, await pictures(Number(span.value), params.signal));
  span.addEventListener("change", () => location.replace(`#/overview?span=${span.value}`));
  await draw();
  append(main, heading("Overview", span, button("Refresh", draw)), body);
}

async function pictures(span, signal) {
  // A little less than seven days: the clock goes on while the request is under way.
  const since = new Date(Date.now() - Math.min(span, 7 * 86_400 - 60) * 1000).toISOString();
  const answer = await get(query("/v1/overview", { since }), { signal });
  const runs = answer.buckets.reduce((sum, bucket) => sum + OUTCOMES.reduce((inner, [kind]) => inner + (bucket[kind] ?? 0), 0), 0);
  if (runs === 0) {
    return panel("Nothing ran in this time", empty("Call an endpoint or start a flow, and it is shown here. ",
      h("a", { href: "#/connectors" }, "Connectors"), " and ", h("a", { href: "#/flows" }, "flows"), " have a form for that."));
  }
  return [
    answer.sampled && h("p", { class: "note" }, "There were too many runs to read each of them: what is said of flows and limits is an estimate."),
    rate(answer, runs, span),
    h("div", { class: "columns" }, times(answer.flows), edges(answer.limits)),
    flows(answer.flows),
  ];
}

function rate({ buckets, bucket_s: length }, runs, span) {
  const axis = (at) => (span > 86_400 ? new Date(at).toLocaleDateString(undefined, { weekday: "short", day: "numeric" }) : format.clock(at));
  const columns = buckets.map((bucket) => ({ label: format.moment(bucket.at), axis: axis(bucket.at), values: bucket }));
  const failed = buckets.reduce((sum, bucket) => sum + bucket.failed, 0);
  const title = length === 60 ? "Runs per minute" : `Runs per ${format.seconds(length)}`;
  const words = `${format.number(runs)} runs, ${format.number(failed)} failed (${format.percent(failed / runs)})`;
  return panel(title, h("p", { class: "soft" }, words), stacked(columns, OUTCOMES, `${title}: ${words}`));
}

/** Where the time of a run goes: in hooks, or in requests to upstreams. */
function times(flows) {
  const bars = flows.filter((flow) => flow.hooks_ms !== null).slice(0, 12).map((flow) => ({
    name: runsOf(flow.flow),
    words: `${format.millis(flow.hooks_ms)} hooks, ${format.millis(flow.requests_ms)} requests`,
    parts: [["hook", flow.hooks_ms, `hooks ${format.millis(flow.hooks_ms)}`], ["request", flow.requests_ms, `requests ${format.millis(flow.requests_ms)}`]],
  }));
  return panel("Hook time against upstream time",
    h("p", { class: "soft" }, "The mean of a run."),
    bars.length > 0 ? [horizontal(bars, "Mean time of a run in hooks and in requests"), legend([["hook", "hooks"], ["request", "requests"]])]
      : empty("No run has ended in this time."));
}

function edges(limits) {
  const shown = limits.map((edge) => {
    const who = h("a", { href: `#/runs/${edge.run}` }, [edge.flow, `${edge.script} v${edge.version}`, edge.hook].join(" · "));
    const words = `${format.limit(edge.limit, edge.used)} of ${format.limit(edge.limit, edge.allowed)}`;
    return h("li", {}, meter(h("span", {}, h("strong", {}, LIMIT_NAMES[edge.limit] ?? edge.limit), " ", who), edge.used, edge.allowed, words));
  });
  return panel("Limits near their edge",
    shown.length > 0 ? h("ul", { class: "hbars" }, shown) : empty("No invocation used more than four fifths of a limit."));
}

function flows(list) {
  const number = (text) => ({ text, class: "num" });
  const rows = list.map((flow) => [
    runsOf(flow.flow),
    format.number(flow.runs),
    flow.failed > 0 ? badge(`${format.number(flow.failed)} (${format.percent(flow.failed / flow.runs)})`, "bad") : "0",
    format.millis(flow.p50_ms),
    format.millis(flow.p99_ms),
  ]);
  return panel("Flows and calls", table("Flows and calls", ["Name", number("Runs"), number("Failed"), number("p50"), number("p99")], rows));
}

/** The runs of a flow, or of a direct call, whose name has a slash. */
function runsOf(name) {
  const parameter = name.includes("/") ? "call" : "flow";
  return h("a", { href: `#/runs?${parameter}=${encodeURIComponent(name)}` }, name);
}
