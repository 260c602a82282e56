// Lists of definitions, and what every page of one begins with.

import { h, heading } from "../lib/dom.js";
import { moment } from "../lib/format.js";
import { showPages } from "../lib/pages.js";
import { may } from "../lib/session.js";

/** The address of a page of a definition. */
export function address(kind, name, view = "") {
  return `#/${kind}s/${encodeURIComponent(name)}${view && `/${view}`}`;
}

/** `{kind, title, nothing, columns, row}`: `row` gives the cells between name and time. */
export async function showList(main, { kind, title, nothing, columns, row }, signal) {
  const place = h("div", { class: "panel" });
  main.append(heading(title, may("deploy") && h("a", { class: "button primary", href: `#/${kind}s/+new` }, `New ${kind}`)), place);
  const cells = (item) => [
    h("a", { href: address(kind, item.name) }, item.name),
    ...row(item),
    h("time", { datetime: item.updated_at, class: "nowrap" }, moment(item.updated_at)),
  ];
  const list = { address: `/v1/${kind}s`, title: `All ${kind}s`, nothing, columns: ["Name", ...columns, "Changed"], row: cells };
  await showPages(place, list, signal);
}

/** Heading and the links to the other pages of a definition: `views` are `[view, text]`. */
export function head(kind, name, here, views, ...actions) {
  const titles = { connector: "Connectors", flow: "Flows" };
  return [
    heading(h("span", {}, h("a", { href: `#/${kind}s`, class: "up" }, titles[kind]), " / ", name), ...actions),
    h("div", { class: "views", role: "navigation", "aria-label": `Pages of ${name}` }, views.map(([view, text]) =>
      h("a", { href: address(kind, name, view), "aria-current": view === here ? "page" : null }, text))),
  ];
}
