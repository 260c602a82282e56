// Subjects: whom runs are about, and the values kept for them.

import { del, exists, path, put } from "../lib/api.js";
import { button, confirm, field, h, panel, replace, say } from "../lib/dom.js";
import { editor } from "../lib/editor.js";
import { moment } from "../lib/format.js";
import { showPages } from "../lib/pages.js";
import { may } from "../lib/session.js";

export async function subjectsPanel(signal) {
  const editing = h("div", {});
  const place = h("div", { class: "stack" });
  const row = (subject) => [
    h("button", { type: "button", class: "quiet place", onclick: () => edit(editing, subject, signal).catch((error) => say(error.message, "bad")) }, subject.id),
    Object.keys(subject.values).join(", ") || "–",
    h("time", { datetime: subject.updated_at, class: "nowrap" }, moment(subject.updated_at)),
  ];
  const nothing = "No subject yet. A run that names one keeps values for it: its store_data.";
  await showPages(place, { address: "/v1/subjects", limit: 50, title: "All subjects", nothing, columns: ["Id", "Values", "Changed"], row }, signal);
  return panel("Subjects", place,
    may("deploy") && h("div", { class: "actions" }, button("New subject", () => edit(editing, null, signal))), editing);
}

/** An editor of the values below the list. */
async function edit(place, subject, signal) {
  const id = h("input", { autocomplete: "off", spellcheck: "false" });
  const text = JSON.stringify(subject?.values ?? {}, null, 2);
  const handle = await editor({ text, lines: 10, language: "json", label: subject ? `Values of ${subject.id}` : "Values", readOnly: !may("deploy") });
  signal.addEventListener("abort", () => handle.destroy());
  const save = async () => {
    const name = subject?.id ?? id.value.trim();
    if (!name) throw new Error("Give the subject an id first.");
    if (!subject && await exists(path`/v1/subjects/${name}`)) throw new Error(`There is a subject “${name}” already.`);
    await put(path`/v1/subjects/${name}`, { values: JSON.parse(handle.text) });
    say(`The values of ${name} are saved.`, "good");
    dispatchEvent(new Event("hashchange"));
  };
  const remove = async () => {
    if (!(await confirm(`Delete ${subject.id} with its values?`, "Delete it"))) return;
    await del(path`/v1/subjects/${subject.id}`);
    dispatchEvent(new Event("hashchange"));
  };
  replace(place, h("section", { class: "binding", "aria-label": "Values of a subject" },
    subject ? h("h3", {}, `Values of ${subject.id}`) : h("div", { class: "fields" }, field("Id", id)),
    handle.element,
    h("div", { class: "actions" },
      may("deploy") && button("Save", save, "primary"),
      may("deploy") && subject && button("Delete", remove, "danger"),
      button("Close", () => replace(place)))));
  if (subject) handle.focus();
  else id.focus();
}
