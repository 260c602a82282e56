// The operator's page: tenants, what they may use and use now.

import { all, del, get, path, put } from "../lib/api.js";
import { LIMITS, RETENTION, STORAGE } from "../lib/allowance.js";
import { meter } from "../lib/charts.js";
import { append, button, checkbox, confirm, empty, field, form, h, heading, panel, say, table } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { tokenForm } from "../lib/tokens.js";

export async function show(main, params) {
  return params.length > 0 ? one(main, params) : list(main);
}

async function list(main) {
  const tenants = await all("/v1/tenants");
  const rows = tenants.map((tenant) => [
    h("a", { href: `#/tenants/${encodeURIComponent(tenant.name)}` }, tenant.name),
    meter(h("span", { class: "hidden" }, "Requests at once"), tenant.usage.concurrency, tenant.quota.concurrency,
      `${format.number(tenant.usage.concurrency)} of ${format.number(tenant.quota.concurrency)}`),
    format.number(tenant.quota.rate_per_s),
    String(tenant.weight),
    format.moment(tenant.updated_at),
  ]);
  const number = (text) => ({ text, class: "num" });
  append(main, heading("Tenants"),
    panel("All tenants", rows.length > 0
      ? table("Tenants", ["Name", "Requests at once, now", number("Requests a second"), number("Weight"), { text: "Changed", class: "wide" }], rows)
      : empty("There is none yet.")),
    panel("New tenant", h("p", { class: "soft" }, "It begins with the defaults. A name has letters, digits, dots, hyphens and underscores."), create()));
}

function create() {
  const name = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
  return form({ class: "filters", "aria-label": "New tenant" }, async () => {
    const known = name.value.trim();
    if (!known) throw new Error("A tenant needs a name.");
    const tenants = await all("/v1/tenants");
    if (tenants.some((tenant) => tenant.name === known)) throw new Error(`There is a tenant “${known}” already.`);
    await put(path`/v1/tenants/${known}`, {});
    say(`The tenant “${known}” is made, with the defaults.`, "good");
    location.hash = `#/tenants/${encodeURIComponent(known)}`;
  }, field("Name", name), h("button", { type: "submit", class: "primary" }, "Make the tenant"));
}

async function one(main, [name]) {
  const address = path`/v1/tenants/${name}`;
  const tenant = await get(address);
  const remove = button("Delete…", async () => {
    if (!await confirm(`Delete “${name}” with all of its scripts, flows, runs and secrets? Nothing of it can be brought back.`, "Delete the tenant")) return;
    await del(address);
    say(`The tenant “${name}” is deleted.`, "good");
    location.hash = "#/tenants";
  }, "danger");
  append(main, heading(name, h("a", { class: "button", href: "#/tenants" }, "All tenants"), remove),
    panel("Now, on this node", meter("Requests at once", tenant.usage.concurrency, tenant.quota.concurrency,
      `${format.number(tenant.usage.concurrency)} of ${format.number(tenant.quota.concurrency)}`)),
    panel("What it may use", settings(address, tenant)),
    panel("New token for this tenant", tokenForm(`${address}/tokens`, async () => {}, ["admin"])));
}

/** Everything that the operator may set. What is saved is what the form shows: a tenant's document is replaced as a whole. */
function settings(address, tenant) {
  const number = (value, min = 0) => h("input", { type: "number", min: String(min), step: "1", required: true, value });
  const limits = LIMITS.map(([key, name, what]) => [key, number(tenant.limits[key]), `${name}${unit(key)}`, what]);
  const kept = RETENTION.map(([key, what]) => [key, number(tenant.retention[key]), `${what} (s)`]);
  const quota = { concurrency: number(tenant.quota.concurrency, 1), rate_per_s: number(tenant.quota.rate_per_s, 1) };
  const stored = STORAGE.map(([key, name, what]) => [key, number(tenant.quota[key], 1), `${name}${unit(key)}`, what]);
  const weight = number(tenant.weight, 1);
  const fetch = checkbox("fetch: script steps may send requests of their own", tenant.grants.fetch);
  const lists = egressFields(tenant.egress);
  const submit = async () => {
    const values = (entries) => Object.fromEntries(entries.map(([key, input]) => [key, whole(input)]));
    const saved = await put(address, {
      ...(tenant.document_statuses && { document_statuses: tenant.document_statuses }),
      limits: values(limits), quota: values([...Object.entries(quota), ...stored]), weight: whole(weight), grants: { fetch: fetch.querySelector("input").checked },
      retention: values(kept), egress: { ...tenant.egress, ...lists.read() },
    });
    Object.assign(tenant, saved);
    say("Saved. It holds from the next request on.", "good");
  };
  const group = (title, ...inside) => h("fieldset", {}, h("legend", {}, title), inside);
  return form({ class: "stack", "aria-label": "What the tenant may use" }, submit,
    group("Quota", h("div", { class: "fields" }, field("Requests at once", quota.concurrency), field("Requests a second", quota.rate_per_s),
      field("Weight", weight, "Its part of the processor beside others."))),
    group("Kept at most", h("div", { class: "fields" }, stored.map(([, input, label, what]) => field(label, input, what)))),
    group("Limits", h("div", { class: "fields" }, limits.map(([, input, label, what]) => field(label, input, what)))),
    group("Kept for", h("div", { class: "fields" }, kept.map(([, input, label]) => field(label, input)))),
    group("Where requests may go", h("div", { class: "fields two" }, lists.fields)),
    group("Grants", fetch),
    h("div", {}, h("button", { type: "submit", class: "primary" }, "Save")));
}

/** Texts of one entry a line. No list of hosts is no rule at all, every public host; an empty list is a rule, no host. */
function egressFields(egress) {
  const area = (entries) => h("textarea", { rows: "4", spellcheck: "false", value: (entries ?? []).join("\n") });
  const [allow, inside] = [area(egress.allow), area(egress.allow_private)];
  const every = checkbox("Every public host", !egress.allow);
  const box = every.querySelector("input");
  const follow = () => {
    allow.disabled = box.checked;
  };
  box.addEventListener("change", follow);
  follow();
  const entries = (control) => control.value.split("\n").map((line) => line.trim()).filter(Boolean);
  return {
    fields: [h("div", { class: "stack" }, every, field("Hosts", allow, "One a line, such as api.example.com or *.example.org. Empty: none.")),
      field("Private networks", inside, "One a line, such as 10.0.0.0/8. Empty: none.")],
    read: () => ({ allow: box.checked ? undefined : entries(allow), allow_private: entries(inside) }),
  };
}

function unit(key) {
  return key.endsWith("_bytes") ? " (bytes)" : key.endsWith("_ms") ? " (ms)" : "";
}

function whole(input) {
  const value = Number(input.value);
  if (input.value === "" || !Number.isInteger(value) || value < Number(input.min)) {
    input.focus();
    throw new Error(`${input.labels[0].textContent}: give a whole number, at least ${input.min}.`);
  }
  return value;
}
