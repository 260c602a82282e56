// A definition as its document: written in an editor, refused with the place that is wrong.

import { ApiError, del, send } from "../lib/api.js";
import { button, confirm, field, h, panel, say } from "../lib/dom.js";
import { addressOf } from "../lib/definitions.js";
import { editor, problemList } from "../lib/editor.js";
import { may } from "../lib/session.js";

/** `{kind, name, document, signal}`; without a name a new definition is made. */
export async function documentPanel({ kind, name, document, signal }) {
  const readOnly = !may("deploy");
  const problems = problemList();
  const input = h("input", { autocomplete: "off", spellcheck: "false", maxlength: "63", required: true });
  const draft = { kind, name: () => name ?? input.value.trim(), problems };
  draft.handle = await editor({
    text: JSON.stringify(document, null, 2), lines: 26, language: "json", label: `Document of the ${kind}`, readOnly,
    onSave: () => save(draft).catch((error) => say(error.message, "bad")),
  });
  signal.addEventListener("abort", () => draft.handle.destroy());
  return panel("Document",
    !name && h("div", { class: "fields" }, field("Name", input, "Letters, digits, “.”, “_” and “-”.")),
    draft.handle.element,
    problems.element,
    !readOnly && h("div", { class: "actions" },
      button("Save", () => save(draft), "primary"),
      name && button("Delete", () => remove(kind, name), "danger")));
}

/** Sends the text as it is written, so that the node's complaint has the line in it. */
async function save({ kind, name, handle, problems }) {
  if (!name()) throw new Error(`Give the ${kind} a name first.`);
  const response = await send("PUT", addressOf(kind, name()), { body: handle.text, type: "application/json" });
  const answer = await response.json();
  if (!response.ok) {
    const { path, detail, line, column } = answer;
    problems.show([{ severity: "error", message: path ? `${path}: ${detail}` : detail, line, column }], "", handle);
    throw new ApiError(response.status, answer);
  }
  problems.show([], "", handle);
  say(`${name()} is saved${answer.version ? ` as version ${answer.version}` : ""}.`, "good");
  location.hash = `#/${kind}s/${encodeURIComponent(name())}`;
}

async function remove(kind, name) {
  if (!(await confirm(`Delete the ${kind} ${name}? What calls it fails from then on.`, "Delete it"))) return;
  await del(addressOf(kind, name));
  say(`${name} is deleted.`, "good");
  location.hash = `#/${kind}s`;
}
