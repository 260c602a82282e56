// The editor of a script: errors as one types, completion from the SDK's types, and the deploy.

import { path, post, query, send, ApiError } from "../lib/api.js";
import { badge, button, field, h, heading, panel, say, select } from "../lib/dom.js";
import { editor, problemList } from "../lib/editor.js";
import { bytes } from "../lib/format.js";
import { settled, touched } from "../lib/unsaved.js";
import { completion } from "./completion.js";
import { chosen, head, scriptOf, sourceOf } from "./head.js";
import { address } from "./list.js";

/** What a new script begins with. */
const BEGINNING = `import { reject } from "snaphook";

export function preHook(call, context) {
  if (!call.arguments.text) return reject(400, "text is missing", "no-text");
}
`;

const DIALECTS = ["native", "patchworks", "braincloud", "prismatic"];

/** Milliseconds without a key before what is written is checked. */
const PAUSE = 350;

export async function showEditor(main, params) {
  const isNew = params[0] === "+new";
  const { signal } = params;
  const begun = isNew ? { text: BEGINNING, language: "typescript", dialect: "native", from: null } : await existing(params);
  const name = h("input", { value: isNew ? "" : params[0], required: true, autocomplete: "off", spellcheck: "false", maxlength: "63" });
  const language = select([["typescript", "TypeScript"], ["javascript", "JavaScript"]], begun.language);
  const dialect = select(DIALECTS, begun.dialect);
  const problems = problemList();
  const draft = { name: () => (isNew ? name.value.trim() : params[0]), language, dialect, problems, signal };
  await makeEditor(draft, begun.text);
  const deploying = button("Deploy", () => deploy(draft), "primary");
  main.append(
    ...(isNew ? [heading("New script")] : head(params[0], "edit")),
    panel(isNew ? "Source" : `Source, from version ${begun.from}`,
      h("div", { class: "fields" },
        isNew && field("Name", name, "Letters, digits, “.”, “_” and “-”."),
        field("Language", language),
        field("Dialect", dialect, "What the source is written for.")),
      draft.handle.element,
      h("p", { class: "note" }, `Ctrl-S deploys. ${draft.handle.keys}`),
      problems.element,
      h("div", { class: "actions" }, deploying)));
  for (const control of [dialect, language]) control.addEventListener("change", () => restart(draft));
  name.addEventListener("change", () => check(draft));
  check(draft);
}

async function existing(params) {
  const script = await scriptOf(params[0], params.signal);
  const version = chosen(script, params);
  if (version.kind !== "script") throw new Error("This version was uploaded as WebAssembly; there is no source to edit.");
  const text = await sourceOf(params[0], version.version, params.signal);
  return { text, language: version.language, dialect: version.dialect, from: version.version };
}

/** Puts an editor with this text into the draft. */
async function makeEditor(draft, text) {
  let timer = null;
  const options = {
    text,
    lines: 24,
    language: draft.language.value,
    label: "Source",
    complete: await completion(draft.dialect.value),
    onChange: () => {
      touched();
      clearTimeout(timer);
      timer = setTimeout(() => check(draft), PAUSE);
    },
    onSave: () => deploy(draft).catch((error) => say(error.message, "bad")),
  };
  draft.handle = await editor(options);
  draft.signal.addEventListener("abort", () => {
    clearTimeout(timer);
    draft.handle.destroy();
  });
}

/** Another language or dialect: the same text in another editor. */
async function restart(draft) {
  const before = draft.handle;
  await makeEditor(draft, before.text);
  before.element.replaceWith(draft.handle.element);
  before.destroy();
  await check(draft);
}

/** Asks the node what it would say to an upload. Only the latest answer counts. */
async function check(draft) {
  if (draft.signal.aborted) return;
  draft.checking?.abort();
  draft.checking = new AbortController();
  const { signal } = draft.checking;
  // A name only says who is asked; what is not named yet is checked all the same.
  const name = /^[A-Za-z0-9][\w.-]*$/.test(draft.name()) ? draft.name() : "draft";
  try {
    const address = query(path`/v1/scripts/${name}/check`, { dialect: draft.dialect.value });
    show(draft, await post(address, draft.handle.text, { type: `application/${draft.language.value}`, signal }));
  } catch (error) {
    if (error.name === "AbortError" || draft.signal.aborted) return;
    draft.problems.show([{ severity: "error", message: error.message }], "", draft.handle);
  }
}

function show(draft, answer) {
  const error = ({ detail, line, column }) => ({ severity: "error", message: detail, line, column });
  const warning = ({ message, line, column }) => ({ severity: "warning", message, line, column });
  const all = [...answer.errors.map(error), ...answer.warnings.map(warning)];
  const fine = answer.ok
    && [badge("compiles", "good"), ` ${answer.hooks.join(", ") || "no hooks: other scripts can import it"} · ${bytes(answer.component_bytes)}`];
  draft.problems.show(all, fine, draft.handle);
}

/** Uploads what is written and goes to the version that it has become. */
async function deploy(draft) {
  const name = draft.name();
  const { text } = draft.handle;
  if (!name) throw new Error("Give the script a name first.");
  const target = query(path`/v1/scripts/${name}`, { dialect: draft.dialect.value });
  const response = await send("PUT", target, { body: text, type: `application/${draft.language.value}` });
  const answer = await response.json();
  if (!response.ok) {
    const { detail, line, column } = answer;
    draft.problems.show([{ severity: "error", message: detail, line, column }], "", draft.handle);
    throw new ApiError(response.status, answer);
  }
  say(response.status === 201 ? `Version ${answer.version} of ${name} is deployed.` : `This is version ${answer.version} of ${name} already.`, "good");
  // Who has left meanwhile is not brought back; who has written on meanwhile keeps it.
  if (draft.signal.aborted) return;
  if (draft.handle.text !== text) return say("What was written meanwhile is not deployed yet.");
  settled();
  location.hash = address(name, "", answer.version);
}
