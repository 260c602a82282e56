// All scripts of the tenant.

import { badge, h, heading } from "../lib/dom.js";
import { bytes, moment } from "../lib/format.js";
import { showPages } from "../lib/pages.js";
import { may } from "../lib/session.js";

export async function showList(main, { signal }) {
  const rows = h("div", { class: "panel" });
  main.append(
    heading("Scripts", may("deploy") && h("a", { class: "button primary", href: "#/scripts/+new" }, "New script")),
    rows);
  await showPages(rows, LIST, signal);
}

function row(script) {
  return [
    h("a", { href: address(script.name) }, script.name),
    String(script.version),
    hooksOf(script),
    writtenIn(script),
    bytes(script.source_bytes),
    h("time", { datetime: script.created_at, class: "nowrap" }, moment(script.created_at)),
  ];
}

const LIST = {
  address: "/v1/scripts",
  title: "All scripts",
  nothing: "No script has been deployed yet. A script is a JavaScript or TypeScript file with a function for each hook that it has.",
  columns: ["Name", "Version", "Hooks", "Written in", { text: "Source", class: "num" }, "Deployed"],
  row,
};

/** A page of a script. */
export function address(name, view = "", version = null) {
  const base = `#/scripts/${encodeURIComponent(name)}${view && `/${view}`}`;
  return version ? `${base}?version=${version}` : base;
}

/** The hooks of a version as words. */
export function hooksOf({ hooks }) {
  return hooks.length > 0 ? h("span", { class: "words" }, hooks.map((hook) => badge(hook, "plain"))) : h("span", { class: "soft" }, "none, to be imported");
}

/** Its language, and its dialect where that is not the native one. */
export function writtenIn({ language, dialect, kind }) {
  const words = { typescript: "TypeScript", javascript: "JavaScript", wasm: "WebAssembly" };
  const word = words[language] ?? kind;
  return dialect && dialect !== "native" ? `${word}, ${dialect}` : word;
}
