// Changes of a definition that are not stored yet, and storing them.

import { put } from "../lib/api.js";
import { button, h, say } from "../lib/dom.js";
import { addressOf, bindingsOf } from "../lib/definitions.js";
import { may } from "../lib/session.js";
import { settled, touched } from "../lib/unsaved.js";
import { unreadable } from "./binding.js";

/** A bar that shows itself once something changed, with a button that stores the document. `changed` is to be called after each change. */
export function saving(kind, name, document) {
  const note = h("span", {}, "Not saved yet");
  const save = button("Save", async () => {
    const open = bindingsOf(document).find(({ binding }) => !binding.script);
    if (open) throw new Error(`Choose a script for ${open.hook} of ${open.place || name}, or take it away.`);
    const wrong = bindingsOf(document).find(({ binding }) => unreadable.has(binding));
    if (wrong) throw new Error(`The parms of ${wrong.binding.script} at ${wrong.hook} of ${wrong.place || name} are no JSON object; mend them first.`);
    const answer = await put(addressOf(kind, name), document);
    // Who has left meanwhile may write on another page by now.
    if (!bar.isConnected) return;
    settled();
    bar.hidden = true;
    say(answer.version ? `${name} is saved as version ${answer.version}.` : `${name} is saved.`, "good");
    dispatchEvent(new Event("hashchange"));
  }, "primary");
  const undo = button("Undo", () => {
    settled();
    dispatchEvent(new Event("hashchange"));
  });
  const bar = h("div", { class: "unsaved", role: "status", hidden: true }, note, h("div", { class: "actions" }, undo, save));
  const changed = () => {
    bar.hidden = !may("deploy");
    touched();
  };
  return { bar, changed };
}
