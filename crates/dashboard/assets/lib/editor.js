// An editor for scripts and documents: CodeMirror where the node was built with it, else a plain text area that does the same.

import { h, uniqueId } from "./dom.js";

const BUNDLE = "../vendor/editor.js";

let loading = null;

/** The function that makes an editor; null where the node was built without it, or it does not load. Asked for once. */
function bundled() {
  loading ??= import(BUNDLE).then((bundle) => bundle.create, () => null);
  return loading;
}

/**
 * Makes an editor. The options are those of `create` in `vendor/editor.js`, without `parent`; `lines` is its height on the page. What it gives has
 * `element`, `keys` (what to press, in words), `text`, `problems(list)`, `go(line, column)`, `focus()` and `destroy()`.
 */
export async function editor({ lines = 18, ...options }) {
  const create = await bundled();
  if (!create) return plain({ lines, ...options });
  const element = h("div", { class: "editor", vars: { "--lines": String(lines) } });
  const handle = create({ parent: element, ...options });
  return Object.defineProperties(handle, { element: { value: element }, keys: { value: "Ctrl-Space completes. Escape, then Tab leaves the editor." } });
}

/** The same with a text area. Its problems stand beside it, where the page lists them anyway. */
function plain({ lines, text, label, readOnly = false, onChange, onSave }) {
  const area = h("textarea", {
    id: uniqueId("editor"), class: "editor-plain", rows: lines, spellcheck: "false", autocapitalize: "off", wrap: "off",
    readonly: readOnly, "aria-label": label, value: text,
  });
  area.addEventListener("input", () => onChange?.(area.value));
  area.addEventListener("keydown", (event) => {
    if (!onSave || event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    onSave();
  });
  return {
    element: area,
    keys: "",
    get text() {
      return area.value;
    },
    set text(value) {
      area.value = value;
      onChange?.(value);
    },
    problems(list) {
      area.setAttribute("aria-invalid", String(list.some((problem) => problem.severity === "error")));
    },
    go(line, column = 1) {
      const before = area.value.split("\n").slice(0, Math.max(line - 1, 0));
      const at = before.reduce((sum, one) => sum + one.length + 1, 0) + Math.max(column - 1, 0);
      area.focus();
      area.setSelectionRange(at, at);
    },
    focus: () => area.focus(),
    destroy: () => {},
  };
}

/**
 * Problems as a list under an editor; each leads to its place. `problems`: `{line, column, message, severity}`; `fine` is said where there are none.
 */
export function problemList() {
  const element = h("div", { class: "problems", role: "status", "aria-live": "polite" });
  const show = (problems, fine, handle) => {
    element.replaceChildren();
    handle?.problems(problems.filter((problem) => problem.line));
    if (problems.length === 0) {
      element.append(h("p", { class: "fine" }, fine));
      return;
    }
    element.append(h("ul", {}, problems.map((problem) => h("li", { class: problem.severity }, place(problem, handle), " ", problem.message))));
  };
  return { element, show };
}

function place({ line, column, severity }, handle) {
  const word = severity === "warning" ? "Warning" : "Error";
  if (!line) return h("strong", {}, word);
  const text = `${word} in line ${line}${column ? `, column ${column}` : ""}`;
  return h("button", { type: "button", class: "quiet place", onclick: () => (handle.go(line, column), handle.focus()) }, text);
}
