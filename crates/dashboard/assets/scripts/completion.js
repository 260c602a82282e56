// What may follow at a place of a script: helpers, hooks, and members of what a hook is given, with the SDK's own words about them.

import { typesOf } from "./types.js";

/** Hooks of the native dialect: their function, what it is given, and what that is. */
const HOOKS = [
  { name: "preHook", given: ["call", "Call"], about: "Once per call, before it." },
  { name: "preRequest", given: ["request", "Request"], about: "Before every request." },
  { name: "postRequest", given: ["response", "Response"], about: "After every response, whatever its status." },
  { name: "postHook", given: ["result", "CallResult"], about: "Once per call, after success." },
  { name: "postFail", given: ["failure", "Failure"], about: "Once per call, after final failure." },
  { name: "trigger", given: ["request", "TriggerRequest"], about: "What begins a run of a flow." },
];

/** Names that have a type wherever they stand, as the samples and the guide use them. */
const USUAL = { call: "Call", request: "Request", response: "Response", result: "CallResult", failure: "Failure", context: "Context" };

/** Members of types that are written out in place. */
const INLINE = { state: [{ name: "flow", type: "State", detail: "State" }, { name: "tenant", type: "State", detail: "State" }] };

/** Gives the editor's function for a dialect, once its types are there. */
export async function completion(dialect) {
  const types = await typesOf(dialect).catch(() => null);
  return types && ((text, at, asked) => complete(types, text, at, asked, dialect));
}

/** What may stand at `at`; null for nothing. */
export function complete(types, text, at, asked, dialect = "native") {
  const line = text.slice(text.lastIndexOf("\n", at - 1) + 1, at);
  const chain = /((?:[\w$]+(?:\(\))?\.)+)([\w$]*)$/.exec(line);
  if (chain) {
    const members = membersAt(types, text.slice(0, at), chain[1].slice(0, -1).split("."));
    return members.length > 0 ? { from: at - chain[2].length, options: members.map(option) } : null;
  }
  const word = /[\w$]*$/.exec(line)[0];
  if (!word && !asked) return null;
  const options = [...types.globals.map(ofGlobal), ...(dialect === "native" ? [...types.functions.map(helper), ...HOOKS.map(skeleton)] : [])];
  return { from: at - word.length, options };
}

/** Members of what a chain of names leads to. */
function membersAt(types, before, chain) {
  const [first, ...rest] = chain.map((name) => name.replace("()", ""));
  let members = types.interfaces.get(typeOf(types, before, first)) ?? [];
  for (const name of rest) {
    if (INLINE[name] && members.some((member) => member.name === name)) {
      members = INLINE[name];
      continue;
    }
    const type = members.find((member) => member.name === name)?.type;
    members = types.interfaces.get(type) ?? [];
  }
  return members;
}

/** By the hook that the name is a parameter of, whatever it is called; else by custom. */
function typeOf(types, before, name) {
  const functions = [...before.matchAll(/function\s+(\w+)\s*\(\s*([\w$]+)?[^,)]*(?:,\s*([\w$]+))?/g)];
  for (const [, hook, first, second] of functions.reverse()) {
    const known = HOOKS.find((one) => one.name === hook);
    if (known && first === name) return known.given[1];
    if (known && second === name) return "Context";
  }
  return USUAL[name] ?? types.globals.find((global) => global.name === name)?.type ?? null;
}

function option({ name, method, detail, doc }) {
  return { label: name, type: method ? "method" : "property", detail, info: doc || undefined };
}

function ofGlobal({ name, doc }) {
  return { label: name, type: "variable", info: doc || undefined, boost: -1 };
}

function helper({ name, detail, doc }) {
  return { label: name, type: "function", detail, info: doc || undefined };
}

function skeleton({ name, given, about }) {
  return { label: `function ${name}`, type: "keyword", info: about, apply: `export function ${name}(${given[0]}, context) {\n  \n}\n` };
}
