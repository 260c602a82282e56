// Calling an endpoint, or starting a flow, from the page.

import { path, send } from "../lib/api.js";
import { badge, button, empty, field, h, panel, replace, say, select } from "../lib/dom.js";
import { editor } from "../lib/editor.js";
import { jsonView } from "../lib/json.js";
import { may } from "../lib/session.js";

/** A panel that calls one of a connector's endpoints. */
export async function callPanel({ name, endpoints, chosen, signal }) {
  const endpoint = select(endpoints, chosen ?? endpoints[0]);
  const request = (text) => send("POST", path`/v1/call/${name}/${endpoint.value}`, { body: text || "{}", type: "application/json", signal });
  return attempt({ title: "Call", verb: "Call it", label: "Arguments", sample: {}, fields: [field("Endpoint", endpoint)], request, signal });
}

/** A panel that starts a flow. */
export async function startPanel({ name, signal }) {
  const waiting = select([["wait=30", "for its end, half a minute at most"], ["respond-async", "for nothing"]], "wait=30");
  const subject = h("input", { autocomplete: "off", spellcheck: "false" });
  const request = (text) => {
    const about = subject.value.trim() ? `, "subject": ${JSON.stringify(subject.value.trim())}` : "";
    const body = `{"payload": ${text || "null"}${about}}`;
    return send("POST", path`/v1/flows/${name}/runs`, { body, type: "application/json", headers: { prefer: waiting.value }, signal });
  };
  const fields = [field("Wait", waiting), field("Subject", subject, "Whom the run is about; may be left out.")];
  return attempt({ title: "Start", verb: "Start a run", label: "Payload", sample: {}, fields, request, signal });
}

async function attempt({ title, verb, label, sample, fields, request, signal }) {
  if (!may("invoke")) return panel(title, empty("This token may not call anything: it lacks the scope invoke."));
  const input = await editor({ text: JSON.stringify(sample, null, 2), lines: 8, language: "json", label });
  signal.addEventListener("abort", () => input.destroy());
  const result = h("div", { class: "stack", "aria-live": "polite" });
  const go = async () => {
    const text = input.text.trim();
    if (text) checked(text, label);
    replace(result, h("p", { class: "loading" }, "Under way…"));
    try {
      replace(result, await shown(await request(text)));
    } catch (error) {
      replace(result);
      throw error;
    }
  };
  return panel(title, h("div", { class: "fields" }, fields), h("h3", {}, label), input.element, h("div", { class: "actions" }, button(verb, go, "primary")), result);
}

function checked(text, label) {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Error(`${label}: no JSON (${error.message})`);
  }
}

/** The answer as it came, and the run that it names. */
async function shown(response) {
  const text = await response.text();
  const problem = response.headers.get("content-type")?.includes("json") && text ? JSON.parse(text) : null;
  const run = response.headers.get("x-run-id") ?? problem?.run;
  if (!response.ok) say(`Answered with ${response.status}.`, "bad");
  return [
    h("p", { class: "row" }, h("strong", {}, "Answer"), badge(String(response.status), response.ok ? "good" : "bad"),
      run && h("a", { href: `#/runs/${run}` }, "See the run")),
    jsonView(text, "Answer"),
  ];
}
