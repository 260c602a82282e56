// Secrets: their names. A value can be written, and nothing gives it back.

import { all, del, path, put } from "../lib/api.js";
import { button, confirm, empty, field, form, h, panel, say, table } from "../lib/dom.js";
import { moment } from "../lib/format.js";
import { may } from "../lib/session.js";

export async function secretsPanel(signal) {
  const secrets = await all("/v1/secrets");
  if (signal.aborted) return "";
  const row = ({ name, updated_at: changed }) => [
    h("code", {}, name),
    h("time", { datetime: changed, class: "nowrap" }, moment(changed)),
    may("deploy") && button("Delete", () => remove(name), "danger", { "aria-label": `Delete ${name}` }),
  ];
  return panel("Secrets",
    secrets.length > 0 ? table("Names of secrets", ["Name", "Changed", { text: h("span", { class: "hidden" }, "Delete"), class: "num" }], secrets.map(row))
      : empty("No secret yet. Templates name one as {{ secrets.NAME }}; signatures of triggers use one as their key."),
    may("deploy") && setting());
}

function setting() {
  const name = h("input", { autocomplete: "off", spellcheck: "false", maxlength: "63", required: true });
  const value = h("input", { type: "password", autocomplete: "new-password", required: true });
  const save = async () => {
    if (!name.value.trim() || !value.value) throw new Error("A secret has a name and a value.");
    await put(path`/v1/secrets/${name.value.trim()}`, value.value, { type: "text/plain" });
    say(`The secret ${name.value.trim()} is set.`, "good");
    dispatchEvent(new Event("hashchange"));
  };
  return form({ "aria-label": "Set a secret", class: "filters" }, save,
    field("Name", name), field("Value", value), h("button", { type: "submit" }, "Set"));
}

async function remove(name) {
  if (!(await confirm(`Delete the secret ${name}? What names it fails from then on.`, "Delete it"))) return;
  await del(path`/v1/secrets/${name}`);
  say(`The secret ${name} is deleted.`, "good");
  dispatchEvent(new Event("hashchange"));
}
