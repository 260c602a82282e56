// A definition as its document: written in an editor, refused with the place that is wrong.

import { ApiError, del, exists, send } from "../lib/api.js";
import { button, confirm, field, h, panel, say } from "../lib/dom.js";
import { addressOf } from "../lib/definitions.js";
import { editor, problemList } from "../lib/editor.js";
import { may } from "../lib/session.js";
import { settled, touched } from "../lib/unsaved.js";

/** `{kind, name, document, signal}`; without a name a new definition is made. */
export async function documentPanel({ kind, name, document, signal }) {
  const readOnly = !may("deploy");
  const problems = problemList();
  const input = h("input", { autocomplete: "off", spellcheck: "false", maxlength: "63", required: true });
  const draft = { kind, name: () => name ?? input.value.trim(), stored: name, problems, signal };
  draft.handle = await editor({
    text: JSON.stringify(document, null, 2), lines: 26, language: "json", label: `Document of the ${kind}`, readOnly, onChange: touched,
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
async function save(draft) {
  const { kind, handle, problems, signal } = draft;
  const name = draft.name();
  const { text } = handle;
  if (!name) throw new Error(`Give the ${kind} a name first.`);
  if (name !== draft.stored && await exists(addressOf(kind, name))) throw new Error(`There is a ${kind} “${name}” already.`);
  const response = await send("PUT", addressOf(kind, name), { body: text, type: "application/json" });
  const answer = await response.json();
  if (!response.ok) {
    const { path, detail, line, column } = answer;
    problems.show([{ severity: "error", message: path ? `${path}: ${detail}` : detail, line, column }], "", handle);
    throw new ApiError(response.status, answer);
  }
  problems.show([], "", handle);
  say(`${name} is saved${answer.version ? ` as version ${answer.version}` : ""}.`, "good");
  draft.stored = name;
  // Who has left meanwhile is not brought back; who has written on meanwhile keeps it.
  if (signal.aborted) return;
  if (handle.text !== text) return say("What was written meanwhile is not saved yet.");
  settled();
  location.hash = `#/${kind}s/${encodeURIComponent(name)}`;
}

async function remove(kind, name) {
  if (!(await confirm(`Delete the ${kind} ${name}? What calls it fails from then on.`, "Delete it"))) return;
  await del(addressOf(kind, name));
  settled();
  say(`${name} is deleted.`, "good");
  location.hash = `#/${kind}s`;
}
