// What every page of one script begins with.

import { get, path, query } from "../lib/api.js";
import { h, heading } from "../lib/dom.js";
import { may } from "../lib/session.js";
import { address } from "./list.js";

const VIEWS = [
  { view: "", text: "Versions", scope: "read" },
  { view: "edit", text: "Edit", scope: "deploy" },
  { view: "test", text: "Test", scope: "deploy" },
  { view: "promote", text: "Promote", scope: "deploy" },
];

/** The script with its latest 200 versions, newest first. */
export function scriptOf(name, signal) {
  return get(query(path`/v1/scripts/${name}`, { limit: 200 }), { signal });
}

/** The source of a version as text. */
export function sourceOf(name, version, signal) {
  return get(path`/v1/scripts/${name}/versions/${version}/source`, { signal });
}

/** The version that the address asks for, else the latest. */
export function chosen(script, params) {
  const asked = Number(params.query.get("version"));
  return script.versions.find((one) => one.version === asked) ?? script.versions[0];
}

/** Heading and the links to the other pages of the script. */
export function head(name, here, version = null) {
  const links = VIEWS.filter(({ scope }) => may(scope)).map(({ view, text }) =>
    h("a", { href: address(name, view, view === "edit" ? null : version), "aria-current": view === here ? "page" : null }, text));
  return [
    heading(h("span", {}, h("a", { href: "#/scripts", class: "up" }, "Scripts"), " / ", name)),
    h("div", { class: "views", role: "navigation", "aria-label": `Pages of ${name}` }, links),
  ];
}
