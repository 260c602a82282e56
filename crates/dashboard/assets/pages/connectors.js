// Connectors: the list, and one with its endpoints and their hooks.

import { get } from "../lib/api.js";
import { empty, h, heading, panel } from "../lib/dom.js";
import { addressOf, bindingsOf, documentOf } from "../lib/definitions.js";
import { documentPanel } from "../definitions/document.js";
import { pipeline } from "../definitions/hooks.js";
import { address, head, showList } from "../definitions/list.js";
import { saving } from "../definitions/saving.js";
import { callPanel } from "../definitions/try.js";
import { scriptNames } from "../definitions/words.js";

const VIEWS = [["", "Endpoints"], ["call", "Call"], ["document", "Document"]];

/** What a new connector begins with. */
const BEGINNING = {
  base_url: "https://api.example.com/v1",
  endpoints: { "create-order": { method: "POST", path: "/orders", hooks: {} } },
};

/** `#/connectors`, `#/connectors/+new`, `#/connectors/NAME` and, below that, `call` and `document`. */
export async function show(main, params) {
  const [name, view = ""] = params;
  const { signal } = params;
  if (!name) return showList(main, LIST, signal);
  if (name === "+new") {
    main.append(heading("New connector"), await documentPanel({ kind: "connector", document: BEGINNING, signal }));
    return;
  }
  const document = documentOf(await get(addressOf("connector", name), { signal }));
  main.append(...head("connector", name, view, VIEWS));
  const endpoints = Object.keys(document.endpoints);
  if (view === "document") main.append(await documentPanel({ kind: "connector", name, document, signal }));
  else if (view === "call" && endpoints.length > 0) main.append(await callPanel({ name, endpoints, chosen: params.query.get("endpoint"), signal }));
  else drawn(main, name, document, signal);
}

const LIST = {
  kind: "connector",
  title: "Connectors",
  nothing: "No connector yet. A connector is a third-party API; each of its endpoints is one operation that can be called, with hooks around it.",
  columns: ["Address", "Endpoints", "Scripts"],
  row: (connector) => [
    h("code", { class: "address" }, connector.base_url),
    Object.keys(connector.endpoints).join(", ") || "–",
    scriptNames(bindingsOf(connector)),
  ],
};

function drawn(main, name, document, signal) {
  const { bar, changed } = saving("connector", name, document);
  const facts = [
    ["Address", h("code", { class: "address" }, document.base_url)],
    ["Connection", document.connection && h("a", { href: `#/connections/${encodeURIComponent(document.connection)}` }, document.connection)],
    ["Headers", document.headers && Object.entries(document.headers).map(([key, value]) => `${key}: ${value}`).join(", ")],
  ];
  main.append(
    bar,
    h("dl", { class: "facts broad" }, facts.filter(([, value]) => value).map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value)))),
    ...Object.entries(document.endpoints).map(([key, endpoint]) => endpointPanel(name, key, endpoint, signal, changed)),
    panel("Every endpoint", h("p", { class: "note" }, "These hooks run before an endpoint’s own."),
      pipeline({ owner: document, name: `every endpoint of ${name}`, signal, changed })));
  if (Object.keys(document.endpoints).length === 0) main.append(empty("This connector has no endpoints; write them into its document."));
}

function endpointPanel(connector, name, endpoint, signal, changed) {
  const request = [h("strong", {}, endpoint.method), " ", h("code", {}, endpoint.path || "/")];
  const call = h("a", { class: "button", href: `${address("connector", connector, "call")}?endpoint=${encodeURIComponent(name)}` }, "Call");
  const element = panel(name, settings(endpoint), pipeline({ owner: endpoint, name: `${connector}/${name}`, request, signal, changed }));
  element.querySelector("h2").after(h("div", { class: "actions corner" }, call));
  return element;
}

/** What else the document says about an endpoint, in words. */
function settings({ status_code: statuses, retry, payload_path: payload, timeout_s: timeout, continue_if: condition }) {
  const words = [
    `accepts ${statuses?.join(", ") ?? "every 2xx"}`,
    payload && `takes ${payload} out of the response`,
    retry && `tries ${retry.attempts} times more`,
    timeout && `waits ${timeout} s`,
    condition && `ends blocked unless ${condition.response_notation} is ${JSON.stringify(condition.value)}`,
  ];
  return h("p", { class: "note" }, words.filter(Boolean).join(" · "));
}
