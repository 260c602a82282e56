// Making elements, and the few that every page has. Text is always text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Attributes: `class`, `dataset: {…}`, `onclick: function` and so on for listeners, `true` for a bare attribute; those that are
 * null or false are left out. `vars: {"--x": "3"}` sets custom properties, which the content security policy allows as it is no attribute.
 * Children: elements, texts, numbers, lists of them; null and false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a picture's elements. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "vars") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "value" && "value" in element) element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** Adds children as `h` takes them. */
export function append(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Puts these children in the place of all that an element has. */
export function replace(element, ...children) {
  element.replaceChildren();
  return append(element, ...children);
}

let labels = 0;

/** A name for `id` and `for` that nothing else on the page has. */
export function uniqueId(prefix = "f") {
  labels += 1;
  return `${prefix}-${labels}`;
}

/** A labelled field. `control` is an input, select or textarea; `hint` stands below it. */
export function field(label, control, hint = null) {
  control.id ||= uniqueId();
  const note = hint && h("small", { id: `${control.id}-hint`, class: "hint" }, hint);
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/** A select with these options: texts, or `[value, text]`. */
export function select(options, chosen, attributes = {}) {
  const made = options.map((option) => {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    return h("option", { value, selected: String(value) === String(chosen) }, text);
  });
  return h("select", attributes, made);
}

/** A checkbox with its label. */
export function checkbox(label, checked, attributes = {}) {
  return h("label", { class: "check" }, h("input", { type: "checkbox", checked, ...attributes }), " ", label);
}

/** A button. `kind`: `primary`, `quiet`, `danger` or nothing. While an action runs the button waits, and what fails is said. */
export function button(text, action, kind = "", attributes = {}) {
  const element = h("button", { type: "button", class: kind, ...attributes }, text);
  element.addEventListener("click", () => busy(element, action));
  return element;
}

/** Runs an action that an element began; says what fails. */
export async function busy(element, action) {
  if (element.getAttribute("aria-busy") === "true") return;
  element.setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (error) {
    // The page that asked was left: nobody waits for it.
    if (error.name !== "AbortError") say(error.message ?? String(error), "bad");
  } finally {
    element.removeAttribute("aria-busy");
  }
}

/** A form that calls `action` on Enter and on its button; what fails is said. */
export function form(attributes, action, ...children) {
  const element = h("form", { novalidate: true, ...attributes }, children);
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(element, action);
  });
  return element;
}

/**
 * A table. `columns`: texts, or `{text, class}`; `rows`: lists of cells, each as `h` takes children. A wide table scrolls in its own place.
 */
export function table(caption, columns, rows, attributes = {}) {
  const heads = columns.map((column) => (typeof column === "string" ? { text: column } : column));
  const head = heads.map((column) => h("th", { scope: "col", class: column.class }, column.text));
  const body = rows.map((cells) =>
    cells instanceof Node ? cells : h("tr", {}, cells.map((cell, i) => h("td", { class: heads[i]?.class }, cell))),
  );
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", attributes, h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

/** What stands where a list has nothing. */
export function empty(...children) {
  return h("p", { class: "empty" }, children);
}

/** A panel with a heading. */
export function panel(title, ...children) {
  const id = uniqueId("panel");
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), children);
}

/** The head of a page: its name, and what can be done with all of it. */
export function heading(title, ...actions) {
  return h("div", { class: "heading" }, h("h1", {}, title), actions.length > 0 && h("div", { class: "actions" }, actions));
}

/** A word with a colour that goes with its meaning, and never by colour alone. */
export function badge(word, kind = kindOf(word)) {
  return h("span", { class: `badge ${kind}` }, word);
}

const KINDS = {
  succeeded: "good", ok: "good", proceed: "good", same: "good",
  failed: "bad", broken: "bad", unauthorized: "bad", differs: "bad", fault: "bad",
  partial: "warn", blocked: "warn", waiting: "warn", reject: "warn", "retry-step": "warn", "retry-run": "warn", fail: "bad",
  running: "info", queued: "info", respond: "info", recover: "info",
};

function kindOf(word) {
  return KINDS[word] ?? "plain";
}

/** Tells the reader something: shown for a while, read aloud by screen readers. `kind`: `good`, `bad` or nothing. */
export function say(text, kind = "") {
  const place = document.getElementById("messages");
  const note = h("div", { class: `message ${kind}` }, h("span", {}, text));
  note.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => note.remove() }, "×"));
  place.append(note);
  // What went wrong stays longer.
  setTimeout(() => note.remove(), kind === "bad" ? 15_000 : 6_000);
}

/** Asks before something that cannot be taken back. Gives whether it may be done. `otherwise` is what is done else. */
export function confirm(question, verb, otherwise = "Keep it") {
  const answer = (value) => () => dialog.close(value);
  const id = uniqueId("dialog");
  const dialog = h("dialog", { "aria-labelledby": id },
    h("p", { id }, question),
    h("div", { class: "actions end" },
      h("button", { type: "button", onclick: answer("no") }, otherwise),
      h("button", { type: "button", class: "danger", onclick: answer("yes") }, verb)));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
