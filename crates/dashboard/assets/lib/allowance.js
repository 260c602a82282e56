// What a tenant may use, in words that are the same on its own page and the operator's.

import { badge, empty, h, table } from "./dom.js";
import * as format from "./format.js";

/** Every limit: `[key, name, what it bounds]`. */
export const LIMITS = [
  ["fuel", "Fuel", "of one invocation"],
  ["wall_ms", "Time", "of one invocation"],
  ["memory_bytes", "Memory", "of one invocation"],
  ["output_bytes", "Output", "of one invocation"],
  ["log_bytes", "Log", "of one invocation"],
  ["host_calls", "Host calls", "of one invocation"],
  ["source_bytes", "Source", "of an uploaded script"],
  ["component_bytes", "Component", "of an uploaded component"],
  ["request_body_bytes", "Request body", "to this node"],
  ["response_body_bytes", "Response body", "of an upstream"],
  ["state_bytes", "State", "of a flow, and of the tenant"],
];

/** What is kept at most: `[key, name, what becomes of more]`. */
export const STORAGE = [
  ["history_bytes", "Runs that have ended", "The oldest beyond it go before their time."],
  ["script_bytes", "Scripts", "Uploads beyond it are refused."],
  ["queue_bytes", "Runs that wait for their beginning", "More are refused."],
  ["documents", "Documents", "Flows with their versions, connectors, connections, secrets, subjects and tokens; more are refused."],
  ["document_bytes", "All documents together", "What adds to it is refused."],
];

/** What is kept for how long: `[key, what]`. */
export const RETENTION = [["logs_s", "Runs and logs"], ["payloads_s", "Payloads and recordings"], ["audit_s", "Records of changes"]];

export function limitsTable(limits) {
  const rows = LIMITS.map(([key, name, what]) => [name, h("span", { class: "soft" }, what), h("span", { title: format.number(limits[key]) }, format.limit(key, limits[key]))]);
  return table("Limits", ["Limit", "Of what", { text: "At most", class: "num" }], rows);
}

export function egressList({ allow, allow_private: inside, schemes, methods, ports }) {
  const words = (list, none) => (list?.length > 0 ? list.map((entry) => h("code", { class: "chip" }, entry)) : none);
  const facts = [
    ["Hosts", words(allow, allow ? "none" : "every public host")],
    ["Private networks", words(inside, "none")],
    // A list without entries allows none; no list, all.
    ["Schemes", words(schemes, schemes ? "none" : "http and https")],
    ["Methods", words(methods, methods ? "none" : "every one")],
    ["Ports", words(ports, ports ? "none" : "every one")],
  ];
  return h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function grantsList(grants) {
  const given = Object.entries(grants).filter(([, granted]) => granted).map(([name]) => name);
  return given.length > 0 ? h("p", {}, given.map((name) => [badge(name, "info"), " "])) : empty("None: scripts see their input and nothing else.");
}
