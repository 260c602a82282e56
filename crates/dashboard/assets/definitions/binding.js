// One binding in the hand: pick script and version, write its parms, see its code.

import { all, get, path } from "../lib/api.js";
import { button, empty, field, h, replace, say, select } from "../lib/dom.js";
import { sourceView } from "../lib/json.js";
import { may } from "../lib/session.js";
import { scriptOf, sourceOf } from "../scripts/head.js";

/** Bindings of which what was last written as their parms is no JSON object, with that text: their document must not be stored as if it were not there. */
export const unreadable = new WeakMap();

/** The tenant's scripts with their latest version, of those that have the hook, by name. */
async function scriptsWith(hook, signal) {
  const scripts = await all("/v1/scripts");
  signal.throwIfAborted();
  return scripts.filter((script) => script.hooks.includes(hook)).map((script) => script.name);
}

/**
 * A panel that edits `binding`, which is part of a document. `hook` is where it stands; `changed()` is called after each change, `remove` and `up`, where
 * they are given, take it away and move it forward in its list. `close` shuts the panel.
 */
export async function bindingPanel({ binding, hook, title, signal, changed, remove, up, close }) {
  const names = await scriptsWith(hook, signal);
  if (binding.script && !names.includes(binding.script)) names.unshift(binding.script);
  const editable = may("deploy");
  const script = select([...(binding.script ? [] : [["", "Choose a script"]]), ...names], binding.script ?? "", { disabled: !editable });
  const version = h("select", { disabled: !editable });
  const parms = h("textarea", { rows: 4, spellcheck: "false", readonly: !editable, value: unreadable.get(binding) ?? JSON.stringify(binding.parms ?? {}, null, 2) });
  if (unreadable.has(binding)) parms.setAttribute("aria-invalid", "true");
  const code = h("div", {});
  const draw = async () => {
    await fillVersions(version, binding, hook, signal);
    await showCode(code, binding, signal);
  };
  const failed = (error) => signal.aborted || say(error.message, "bad");
  script.addEventListener("change", () => {
    binding.script = script.value;
    delete binding.version;
    draw().then(changed, failed);
  });
  version.addEventListener("change", () => {
    binding.version = Number(version.value);
    changed();
    showCode(code, binding, signal).catch(failed);
  });
  parms.addEventListener("change", () => takeParms(parms, binding, changed));
  await draw();
  const actions = h("div", { class: "actions" },
    editable && up && button("Run it earlier", up),
    editable && remove && button("Take it away", remove, "danger"),
    button("Close", close));
  return h("section", { class: "binding", "aria-label": title },
    h("h3", {}, title),
    h("div", { class: "fields" }, field("Script", script), field("Version", version)),
    field("Parms", parms, "JSON that the script finds as context.parms."),
    code,
    actions);
}

/** The versions of the bound script that have the hook. A binding without a version gets the latest of them. */
async function fillVersions(control, binding, hook, signal) {
  replace(control);
  if (!binding.script) return;
  const { versions } = await scriptOf(binding.script, signal);
  const fitting = versions.filter((version) => version.hooks.includes(hook)).map((version) => version.version);
  binding.version ??= fitting[0];
  if (!binding.version) return replace(control, h("option", { value: "" }, `No version has ${hook}`));
  if (!fitting.includes(binding.version)) fitting.push(binding.version);
  replace(control, fitting.map((number) => h("option", { value: number, selected: number === binding.version }, `Version ${number}`)));
}

async function showCode(place, { script, version }, signal) {
  if (!script || !version) return replace(place);
  const record = await get(path`/v1/scripts/${script}/versions/${version}`, { signal });
  if (record.kind !== "script") return replace(place, empty("A component: it was uploaded as WebAssembly."));
  return replace(place, sourceView(await sourceOf(script, version, signal), { label: `Code of ${script}, version ${version}` }));
}

function takeParms(control, binding, changed) {
  let value;
  try {
    value = JSON.parse(control.value.trim() || "{}");
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("an object is wanted, such as {\"limit\": 3}");
  } catch (error) {
    control.setAttribute("aria-invalid", "true");
    unreadable.set(binding, control.value);
    say(`The parms are no JSON object: ${error.message}`, "bad");
    changed();
    return;
  }
  unreadable.delete(binding);
  control.removeAttribute("aria-invalid");
  if (Object.keys(value).length > 0) binding.parms = value;
  else delete binding.parms;
  changed();
}
