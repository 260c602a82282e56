// A value that is shown this once, with a button that copies it.

import { button, h, say } from "./dom.js";

/** `what`: what it is, such as “The new token”. */
export function once(what, text) {
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(text);
    say("Copied.", "good");
  });
  return h("div", { class: "once", role: "status" }, h("span", {}, `${what}, shown this once: `), h("code", {}, text), navigator.clipboard && copy);
}
