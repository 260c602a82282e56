// Connections, secrets and subjects: what a tenant keeps for its requests.

import { showConnection } from "../connections/form.js";
import { KINDS } from "../connections/kinds.js";
import { secretsPanel } from "../connections/secrets.js";
import { subjectsPanel } from "../connections/subjects.js";
import { all } from "../lib/api.js";
import { badge, empty, h, heading, panel, table } from "../lib/dom.js";
import { moment } from "../lib/format.js";
import { may } from "../lib/session.js";

/** `#/connections`, `#/connections/+new` and `#/connections/NAME`. */
export async function show(main, params) {
  if (params[0]) return showConnection(main, params);
  const { signal } = params;
  const [connections, secrets, subjects] = await Promise.all([all("/v1/connections"), secretsPanel(signal), subjectsPanel(signal)]);
  main.append(
    heading("Connections", may("deploy") && h("a", { class: "button primary", href: "#/connections/+new" }, "New connection")),
    panel("Connections", list(connections)),
    secrets,
    subjects);
}

function list(connections) {
  if (connections.length === 0) return empty("No connection yet. A connection is a tenant’s credentials for a connector; scripts see placeholders of its secrets.");
  return table("All connections", ["Name", "Kind", "Status", "Hosts", "Changed"], connections.map((connection) => [
    h("a", { href: `#/connections/${encodeURIComponent(connection.name)}` }, connection.name),
    KINDS[connection.kind]?.text ?? connection.kind,
    [badge(connection.status), connection.status_detail && h("small", { class: "under" }, connection.status_detail)],
    connection.hosts?.join(", ") ?? h("span", { class: "soft" }, "of what names it"),
    h("time", { datetime: connection.updated_at, class: "nowrap" }, moment(connection.updated_at)),
  ]));
}
