// One connection: its fields, of which the secret ones can be written and never read.

import { del, exists, get, path, post, put } from "../lib/api.js";
import { badge, button, confirm, field, form, h, heading, panel, replace, say, select } from "../lib/dom.js";
import { moment } from "../lib/format.js";
import { may } from "../lib/session.js";
import { KINDS, PLACES, placeOf } from "./kinds.js";

export async function showConnection(main, params) {
  const isNew = params[0] === "+new";
  const connection = isNew ? { name: "", kind: "api-key", fields: {} } : await get(path`/v1/connections/${params[0]}`, { signal: params.signal });
  const title = isNew ? "New connection" : h("span", {}, h("a", { href: "#/connections", class: "up" }, "Connections"), " / ", connection.name);
  main.append(heading(title));
  if (!isNew) main.append(status(connection));
  main.append(panel("Credentials", editing(connection, isNew)));
}

/** How it is, and the authorization of those that need one. */
function status(connection) {
  const { name, kind, status: word, status_detail: detail, token_expires_at: ends, updated_at: changed } = connection;
  const link = h("div", { "aria-live": "polite" });
  const authorize = button("Authorize", async () => {
    const { url } = await post(path`/v1/connections/${name}/authorize`);
    const open = h("a", { href: url, target: "_blank", rel: "noopener noreferrer", class: "button primary" }, "Open the authorization");
    replace(link, h("p", { class: "row" }, open, h("span", { class: "soft" }, "Good once, for ten minutes. Load this page again afterwards.")));
    open.focus();
  });
  const fact = (text, ...value) => h("div", {}, h("dt", {}, text), h("dd", {}, value));
  return panel("Status",
    h("dl", { class: "facts broad" }, fact("Status", badge(word)), ends && fact("Its token ends", moment(ends)), fact("Changed", moment(changed))),
    detail && h("p", { class: "note" }, detail),
    kind === "oauth2-authorization-code" && may("deploy") && h("div", { class: "actions" }, authorize),
    link);
}

function editing(connection, isNew) {
  const editable = may("deploy");
  const name = h("input", { value: connection.name, autocomplete: "off", spellcheck: "false", maxlength: "63" });
  const kind = select(Object.entries(KINDS).map(([value, { text }]) => [value, text]), connection.kind, { disabled: !isNew });
  const nowhere = connection.hosts?.length === 0;
  const hosts = h("input", { value: connection.hosts?.join(", ") ?? "", autocomplete: "off", spellcheck: "false" });
  const fields = h("div", { class: "stack" });
  const draft = { connection, controls: [], place: null };
  const draw = () => replace(fields, drawFields(draft, kind.value));
  kind.addEventListener("change", draw);
  draw();
  const save = async () => {
    const target = isNew ? name.value.trim() : connection.name;
    if (!target) throw new Error("Give the connection a name first.");
    const document = written(draft, kind.value, hosts.value);
    if (isNew && await exists(path`/v1/connections/${target}`)) throw new Error(`There is a connection “${target}” already.`);
    await put(path`/v1/connections/${target}`, document);
    say(`The connection ${target} is saved.`, "good");
    const there = `#/connections/${encodeURIComponent(target)}`;
    if (location.hash === there) dispatchEvent(new Event("hashchange"));
    else location.hash = there;
  };
  return form({ "aria-label": "Credentials", class: "stack" }, save,
    h("div", { class: "fields" }, isNew && field("Name", name, "Letters, digits, “.”, “_” and “-”."), field("Kind", kind)),
    fields,
    field("Hosts", hosts, `That its secrets may go to, separated by commas. Empty: ${nowhere ? "none, as now" : "the hosts of the connectors and steps that name it"}.`),
    editable && h("div", { class: "actions" },
      h("button", { type: "submit", class: "primary" }, "Save"),
      !isNew && button("Delete", () => remove(connection.name), "danger")));
}

/** The fields of a kind with what is known of them, and where its key goes. */
function drawFields(draft, kind) {
  const { fields: known, places, out } = KINDS[kind];
  const same = draft.connection.kind === kind;
  draft.controls = known.map((rule) => control(rule, same ? draft.connection.fields[rule.name] : undefined));
  draft.place = places.length > 0 ? placeControls(places, same ? draft.connection.place : null) : null;
  return [
    h("p", { class: "note" }, `Goes out ${out}.`),
    h("div", { class: "fields" }, draft.controls.map(({ rule, element }) => field(rule.text, element, hint(rule, element)))),
    draft.place?.element,
  ];
}

function hint(rule, element) {
  if (rule.secret) return element.dataset.set ? "Set. Leave it empty to keep it; it is never shown." : "Written once, never shown.";
  return rule.required ? null : "May be left out.";
}

function control(rule, value) {
  const attributes = { autocomplete: "off", spellcheck: "false" };
  if (rule.secret) {
    const dataset = value?.set ? { set: "yes" } : {};
    const element = rule.long ? h("textarea", { rows: 5, ...attributes, dataset }) : h("input", { type: "password", ...attributes, autocomplete: "new-password", dataset });
    return { rule, element };
  }
  const text = rule.json && value ? JSON.stringify(value) : value;
  return { rule, element: h("input", { value: text ?? "", ...attributes }) };
}

function placeControls(places, place) {
  const where = select(places.map((value) => [value, PLACES[value].text]), placeOf(place));
  const inputs = h("div", { class: "fields" });
  let controls = [];
  const draw = () => {
    controls = PLACES[where.value].fields.map(([key, text]) => [key, text, h("input", { value: place?.[key] ?? "", autocomplete: "off", spellcheck: "false" })]);
    replace(inputs, controls.map(([, text, input]) => field(text, input)));
  };
  where.addEventListener("change", draw);
  draw();
  return {
    element: h("fieldset", {}, h("legend", {}, "Where the key goes"), h("div", { class: "stack" }, field("Place", where), inputs)),
    value: () => (where.value ? Object.fromEntries(controls.map(([key, , input]) => [key, input.value]).filter(([, text]) => text)) : undefined),
  };
}

/** The document to store. A secret that is set and was not written anew keeps its value. */
function written(draft, kind, hosts) {
  const fields = {};
  for (const { rule, element } of draft.controls) {
    if (element.value) fields[rule.name] = rule.json ? headersOf(element.value) : element.value;
    else if (rule.secret && element.dataset.set) fields[rule.name] = { set: true };
  }
  const list = hosts.split(",").map((host) => host.trim()).filter(Boolean);
  // No list and an empty one differ: with the empty one its secrets go nowhere, which stays so.
  const hasList = list.length > 0 || draft.connection.hosts?.length === 0;
  return { kind, fields, place: draft.place?.value(), ...(hasList && { hosts: list }) };
}

function headersOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("Headers to the token address must be a JSON object of texts, such as {\"x-team\": \"a\"}.");
  }
}

async function remove(name) {
  if (!(await confirm(`Delete the connection ${name}? What names it fails from then on.`, "Delete it"))) return;
  await del(path`/v1/connections/${name}`);
  say(`The connection ${name} is deleted.`, "good");
  location.hash = "#/connections";
}
