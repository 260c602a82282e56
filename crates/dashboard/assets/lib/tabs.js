// Tabs, as the authoring practices for accessible pages have them: arrow keys go from one to the next.

import { h, replace, uniqueId } from "./dom.js";

/** `entries`: `[[name, make], …]`; `make()` gives what the tab shows, and is called when it is first opened. */
export function tabs(entries, label) {
  const id = uniqueId("tabs");
  const body = h("div", { role: "tabpanel", id: `${id}-panel`, tabindex: "0" });
  const made = new Map();
  const buttons = entries.map(([name], at) => h("button", {
    type: "button", role: "tab", id: `${id}-${at}`, "aria-controls": body.id, onclick: () => open(at), onkeydown: (event) => move(event, at),
  }, name));
  const open = (at) => {
    buttons.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
    });
    if (!made.has(at)) made.set(at, entries[at][1]());
    body.setAttribute("aria-labelledby", buttons[at].id);
    replace(body, made.get(at));
  };
  const move = (event, at) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + buttons.length) % buttons.length;
    open(next);
    buttons[next].focus();
  };
  open(0);
  return h("div", { class: "tabbed" }, h("div", { class: "tabs", role: "tablist", "aria-label": label }, buttons), body);
}
