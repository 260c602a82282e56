// Flows: the list, and one as a picture, as its document, and started.

import { get, path } from "../lib/api.js";
import { badge, h, heading, select } from "../lib/dom.js";
import { addressOf, bindingsOf, documentOf } from "../lib/definitions.js";
import { documentPanel } from "../definitions/document.js";
import { address, head, showList } from "../definitions/list.js";
import { picture } from "../definitions/picture.js";
import { saving } from "../definitions/saving.js";
import { startPanel } from "../definitions/try.js";
import { scriptNames } from "../definitions/words.js";

const VIEWS = [["", "Picture"], ["start", "Start"], ["document", "Document"]];

/** What a new flow begins with. */
const BEGINNING = {
  steps: [{ name: "Ask", url: "https://api.example.com/v1/things", method: "GET", status_code: [200] }],
};

/** `#/flows`, `#/flows/+new`, `#/flows/NAME` and, below that, `start` and `document`. */
export async function show(main, params) {
  const [name, view = ""] = params;
  const { signal } = params;
  if (!name) return showList(main, LIST, signal);
  if (name === "+new") {
    main.append(heading("New flow"), await documentPanel({ kind: "flow", document: BEGINNING, signal }));
    return;
  }
  const latest = await get(addressOf("flow", name), { signal });
  const asked = Number(params.query.get("version")) || latest.version;
  const shown = asked === latest.version ? latest : await get(path`/v1/flows/${name}/versions/${asked}`, { signal });
  const document = documentOf(shown);
  main.append(...head("flow", name, view, VIEWS, versionField(name, view, asked, latest.version)));
  if (view === "document") main.append(await documentPanel({ kind: "flow", name, document, signal }));
  else if (view === "start") main.append(await startPanel({ name, signal }));
  else drawn(main, name, document, asked === latest.version, signal);
}

const LIST = {
  kind: "flow",
  title: "Flows",
  nothing: "No flow yet. A flow is a list of steps that run one after another: calls of endpoints, requests, scripts.",
  columns: ["Version", "Begins", "Steps", "Scripts"],
  row: (flow) => [
    String(flow.version),
    flow.trigger ? badge("trigger", "info") : h("span", { class: "soft" }, "over the API"),
    flow.steps.map((step) => step.name).join(" → "),
    scriptNames(bindingsOf(flow)),
  ],
};

function versionField(name, view, shown, latest) {
  if (latest === 1 || view === "start") return h("span", { class: "soft" }, `version ${latest}`);
  const numbers = Array.from({ length: latest }, (_, at) => latest - at);
  const control = select(numbers.map((number) => [number, `Version ${number}${number === latest ? ", the latest" : ""}`]), shown, { "aria-label": "Version" });
  control.addEventListener("change", () => {
    location.hash = `${address("flow", name, view)}?version=${control.value}`;
  });
  return control;
}

function drawn(main, name, document, isLatest, signal) {
  const { bar, changed } = saving("flow", name, document);
  const note = !isLatest && h("p", { class: "note" }, "An earlier version. What is saved from here becomes the latest one.");
  main.append(bar, ...(note ? [note] : []), picture({ name, document, signal, changed }));
}
