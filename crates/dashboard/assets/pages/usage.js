// What the tenant may use, and uses now.

import { get } from "../lib/api.js";
import { egressList, grantsList, limitsTable, RETENTION } from "../lib/allowance.js";
import { meter } from "../lib/charts.js";
import { append, h, heading, panel, replace } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { every } from "../lib/live.js";

export async function show(main, { signal }) {
  const now = h("div", { class: "stack" });
  const load = () => get("/v1/usage", { signal });
  const kept = (name, used, most) => meter(name, used, most, `${format.bytes(used)} of ${format.bytes(most)}`);
  const draw = ({ quota, usage, weight }) => replace(now,
    meter("Requests at once", usage.concurrency, quota.concurrency, `${format.number(usage.concurrency)} of ${format.number(quota.concurrency)}`),
    kept("Runs that have ended", usage.history_bytes, quota.history_bytes),
    kept("Scripts", usage.script_bytes, quota.script_bytes),
    meter("Documents", usage.documents, quota.documents, `${format.number(usage.documents)} of ${format.number(quota.documents)}`),
    kept("All documents together", usage.document_bytes, quota.document_bytes),
    h("p", { class: "soft" }, `At most ${format.number(quota.rate_per_s)} requests a second. Where several tenants want the processor at once, this one has a weight of ${weight}.`));
  const usage = await load();
  draw(usage);
  const times = RETENTION.map(([key, what]) => h("div", {}, h("dt", {}, what), h("dd", {}, format.seconds(usage.retention[key]))));
  append(main, heading("Usage and quotas"),
    h("div", { class: "columns" },
      h("div", { class: "stack" }, panel("Now, on this node", now), panel("Kept for", h("dl", { class: "facts" }, times)),
        panel("Where requests may go", egressList(usage.egress)), panel("Grants", grantsList(usage.grants))),
      panel("Limits", limitsTable(usage.limits))));
  every(2000, signal, async () => draw(await load()));
}
