// Who changed what.

import { get, query } from "../lib/api.js";
import { append, badge, button, empty, field, h, heading, replace, say, select, table } from "../lib/dom.js";
import * as format from "../lib/format.js";

const ACTIONS = ["tenant.put", "token.create", "token.delete", "script.deploy", "script.delete", "connector.put", "connector.delete", "flow.put", "flow.delete",
  "connection.put", "connection.delete", "connection.authorize", "connection.authorized",
  "secret.put", "secret.delete", "subject.put", "subject.delete", "run.cancel", "run.retry"];
const SPANS = [["", "Any time"], [3600, "Last hour"], [86_400, "Last day"], [7 * 86_400, "Last 7 days"], [30 * 86_400, "Last 30 days"]];

export async function show(main, params) {
  const action = select([["", "Everything"], ...ACTIONS], params.query.get("action") ?? "");
  const span = select(SPANS, params.query.get("since") ?? "");
  const list = h("div", { class: "panel" });
  const load = async () => {
    history.replaceState(null, "", query("#/audit", { action: action.value, since: span.value }));
    const since = span.value && new Date(Date.now() - Number(span.value) * 1000).toISOString();
    const page = (cursor) => get(query("/v1/audit", { action: action.value, since, cursor, limit: 100 }), { signal: params.signal });
    await draw(list, page);
  };
  for (const control of [action, span]) control.addEventListener("change", () => load().catch((error) => params.signal.aborted || say(error.message, "bad")));
  await load();
  append(main, heading("Audit"), h("div", { class: "filters", role: "search", "aria-label": "Filter changes" }, field("Change", action), field("When", span)), list);
}

async function draw(list, page) {
  const items = [];
  const more = async (cursor) => {
    const answer = await page(cursor);
    items.push(...answer.items);
    replace(list, items.length === 0 ? empty("Nothing was changed.") : changes(items),
      answer.next_cursor && h("div", {}, button("Older changes", () => more(answer.next_cursor))));
  };
  await more(null);
}

function changes(items) {
  const rows = items.map((record) => [
    h("time", { datetime: record.at, title: record.at }, h("span", { class: "wide" }, format.moment(record.at)), h("span", { class: "narrow" }, format.ago(record.at))),
    badge(record.action, record.action.endsWith("delete") ? "bad" : "plain"),
    h("span", {}, what(record), record.version ? h("small", {}, ` version ${record.version}`) : null),
    who(record.by),
    h("small", { class: "mono" }, record.request_id),
  ]);
  return table("Changes", ["When", "Change", "What", "By", { text: "Request", class: "wide" }], rows);
}

const PAGES = { script: "scripts", connector: "connectors", flow: "flows", connection: "connections", run: "runs" };

/** What was changed, as a link where it has a page. */
function what({ action, name }) {
  const [kind, verb] = action.split(".");
  const page = PAGES[kind];
  // These are named by ids, of which the end tells them apart.
  const shown = kind === "token" || kind === "run" ? h("span", { class: "mono", title: name }, format.shortId(name)) : name;
  return page && verb !== "delete" ? h("a", { href: `#/${page}/${encodeURIComponent(name)}` }, shown) : shown;
}

function who(by) {
  if (by.kind === "token") return h("span", { title: by.id }, by.name, h("small", {}, " token"));
  return by.kind === "browser" ? "who agreed in a browser" : by.kind;
}
