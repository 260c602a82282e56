// One script: its versions, where each is bound, a source, and two sources beside each other.

import { all, del, path } from "../lib/api.js";
import { badge, button, confirm, empty, field, h, panel, replace, say, select, table } from "../lib/dom.js";
import { diff } from "../lib/diff.js";
import { bytes, millis, moment } from "../lib/format.js";
import { sourceView } from "../lib/json.js";
import { may } from "../lib/session.js";
import { chosen, head, scriptOf, sourceOf } from "./head.js";
import { address, hooksOf, writtenIn } from "./list.js";

export async function showVersions(main, params) {
  const [name] = params;
  const { signal } = params;
  const [script, bindings] = await Promise.all([scriptOf(name, signal), bindingsOf(name, signal)]);
  const version = chosen(script, params);
  main.append(
    ...head(name, "", version.version),
    panel("Versions", versions(script, bindings, version)),
    panel(`Version ${version.version}`, ...(await one(script, version, bindings, params))));
  if (script.versions.length > 1) main.append(comparison(script, version, params));
}

/** Where versions of a script are bound. */
export async function bindingsOf(name, signal) {
  const bindings = await all(path`/v1/scripts/${name}/bindings`);
  signal.throwIfAborted();
  return bindings;
}

function versions(script, bindings, shown) {
  const row = (version) => {
    const places = bindings.filter((bound) => bound.version === version.version);
    return [
      h("a", { href: address(script.name, "", version.version), "aria-current": version === shown ? "true" : null }, `Version ${version.version}`),
      hooksOf(version),
      places.length > 0 ? h("ul", { class: "plain" }, places.map((bound) => h("li", {}, placeLink(bound)))) : h("span", { class: "soft" }, "nowhere"),
      bytes(version.source_bytes),
      h("time", { datetime: version.created_at, class: "nowrap" }, moment(version.created_at)),
    ];
  };
  return table(`Versions of ${script.name}`, ["Version", "Hooks", "Bound at", { text: "Source", class: "num" }, "Deployed"], script.versions.map(row));
}

/** A place where a script is bound, as a link to the definition. */
export function placeLink({ kind, name, place, hook }) {
  const at = kind === "connector" && place ? `${name}/${place}` : name;
  const where = kind === "flow" && place ? ` · ${place}` : "";
  return [h("a", { href: `#/${kind}s/${encodeURIComponent(name)}` }, at), where, h("span", { class: "soft" }, ` · ${hook}`)];
}

async function one(script, version, bindings, { signal }) {
  const facts = h("dl", { class: "facts" }, [
    ["Written in", writtenIn(version)],
    ["Hooks", version.hooks.join(", ")],
    ["Component", bytes(version.component_bytes)],
    ["Compiled in", millis(version.deploy_ms)],
    ["Imports", version.imports?.map((taken) => `${taken.script}@${taken.version}`).join(", ")],
  ].filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  const source = version.kind === "script"
    ? sourceView(await sourceOf(script.name, version.version, signal), { label: `Source of version ${version.version}` })
    : empty("A component has no source here; it was uploaded as WebAssembly.");
  const warnings = version.warnings.map((warning) =>
    h("p", { class: "warning" }, badge("warning", "warn"), " ", warning.line ? `line ${warning.line}: ` : "", warning.message));
  return [facts, ...warnings, actions(script, version, bindings), source];
}

function actions(script, version, bindings) {
  if (!may("deploy")) return null;
  const bound = bindings.some((one) => one.version === version.version);
  const link = (view, text, kind = "") => h("a", { class: `button ${kind}`, href: address(script.name, view, version.version) }, text);
  const remove = async () => {
    if (!(await confirm(`Delete version ${version.version} of ${script.name}? Its number is never given again.`, "Delete it"))) return;
    await del(path`/v1/scripts/${script.name}/versions/${version.version}`);
    say(`Version ${version.version} is deleted.`, "good");
    location.hash = script.versions.length > 1 ? address(script.name) : "#/scripts";
    dispatchEvent(new Event("hashchange"));
  };
  return h("div", { class: "actions" },
    version.kind === "script" && link("edit", "Edit"),
    link("test", "Test"),
    link("promote", "Promote", "primary"),
    !bound && button("Delete", remove, "danger"));
}

/** Two versions beside each other; the older one stands left. */
function comparison(script, version, { signal }) {
  const numbers = script.versions.filter((one) => one.kind === "script").map((one) => one.version);
  if (numbers.length < 2) return "";
  const newer = numbers.includes(version.version) && version.version !== numbers.at(-1) ? version.version : numbers[0];
  const older = numbers[numbers.indexOf(newer) + 1];
  const options = numbers.map((number) => [number, `Version ${number}`]);
  const left = select(options, older);
  const right = select(options, newer);
  const place = h("div", {});
  const draw = async () => {
    const [before, after] = await Promise.all([left, right].map((control) => sourceOf(script.name, control.value, signal)));
    replace(place, sideBySide(before, after, [`Version ${left.value}`, `Version ${right.value}`]));
  };
  const changed = () => draw().catch((error) => signal.aborted || say(error.message, "bad"));
  left.addEventListener("change", changed);
  right.addEventListener("change", changed);
  changed();
  return panel("Compare", h("div", { class: "filters" }, field("Before", left), field("After", right)), place);
}

/** Both texts in two columns, equal lines on the same height; what one lacks is left empty there. */
export function sideBySide(before, after, titles) {
  const lines = diff(before, after);
  if (!lines.some((line) => line.kind !== "same")) return empty("Nothing differs.");
  const rows = [];
  for (let i = 0; i < lines.length; ) {
    if (lines[i].kind === "same") {
      rows.push([lines[i], lines[i]]);
      i += 1;
      continue;
    }
    const removed = [];
    const added = [];
    for (; i < lines.length && lines[i].kind !== "same"; i += 1) (lines[i].kind === "removed" ? removed : added).push(lines[i]);
    for (let at = 0; at < Math.max(removed.length, added.length); at += 1) rows.push([removed[at], added[at]]);
  }
  const cell = (line, number) => [
    h("td", { class: "no", "aria-hidden": "true" }, line?.[number] ?? ""),
    h("td", { class: `text ${line?.kind ?? "none"}` }, line && h("code", {}, spoken(line), line.text || " ")),
  ];
  const head = titles.map((title) => h("th", { scope: "col", colspan: "2" }, title));
  return h("div", { class: "beside", role: "region", tabindex: "0", "aria-label": titles.join(" beside ") },
    h("table", {}, h("colgroup", {}, ["no", "text", "no", "text"].map((kind) => h("col", { class: kind }))), h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, rows.map(([left, right]) => h("tr", {}, cell(left, "before"), cell(right, "after"))))));
}

function spoken({ kind }) {
  return kind === "same" ? null : h("span", { class: "hidden" }, `${kind}: `);
}
