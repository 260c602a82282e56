// Connectors and flows as documents: where scripts are bound in them, and how they go back to the node.

import { get, path, put } from "./api.js";

/** Hooks around a call, in the order in which they run. */
export const HOOKS = ["pre-hook", "pre-request", "post-request", "post-hook", "post-fail"];

/** What each hook does, in one line. */
export const ABOUT = {
  "pre-hook": "once per call, before it",
  "pre-request": "before every request",
  "post-request": "after every response",
  "post-hook": "once, after success",
  "post-fail": "once, after final failure",
  step: "the step itself",
  trigger: "what begins a run",
};

/** What the node adds to a document when it gives it; it does not go back. */
const ADDED = ["name", "version", "updated_at"];

/** The document alone, of an answer of the node. */
export function documentOf(answer) {
  return Object.fromEntries(Object.entries(answer).filter(([key]) => !ADDED.includes(key)));
}

/** The address of a definition; `kind` is `connector` or `flow`. */
export function addressOf(kind, name) {
  return kind === "flow" ? path`/v1/flows/${name}` : path`/v1/connectors/${name}`;
}

/**
 * Every place of a document where a script is bound: `{place, hook, path, binding}`. `binding` is the part of the document itself, so that a change of
 * it is a change of the document. `place` names an endpoint or a step, and is empty for what holds for every endpoint; `path` is the node's own word for
 * where the binding stands.
 */
export function bindingsOf(document) {
  const of = (place, base, hooks) => HOOKS.flatMap((hook) =>
    (hooks?.[hook] ?? []).map((binding, at) => ({ place, hook, path: `${base}hooks.${hook}[${at}]`, binding })));
  const endpoints = Object.entries(document.endpoints ?? {}).flatMap(([name, endpoint]) => of(name, `endpoints.${name}.`, endpoint.hooks));
  const steps = (document.steps ?? []).flatMap((step, at) => [
    ...(step.script ? [{ place: step.name, hook: "step", path: `steps[${at}]`, binding: step }] : []),
    ...of(step.name, `steps[${at}].`, step.hooks),
  ]);
  const trigger = document.trigger?.script ? [{ place: "trigger", hook: "trigger", path: "trigger", binding: document.trigger }] : [];
  return [...trigger, ...of("", "", document.hooks), ...endpoints, ...steps];
}

/**
 * Binds another version of a script at these places of a definition, each with `path` and the `version` that is bound there, and stores it. What was
 * changed there by others meanwhile stays as they made it. Gives the number of bindings that changed; none: nothing was stored.
 */
export async function bindVersion(kind, name, script, version, places) {
  const address = addressOf(kind, name);
  const document = documentOf(await get(address));
  const wanted = ({ path: here, binding }) => places.some((place) => place.path === here && place.version === binding.version);
  const changed = bindingsOf(document).filter((bound) => bound.binding.script === script && wanted(bound));
  for (const { binding } of changed) binding.version = version;
  if (changed.length > 0) await put(address, document);
  return changed.length;
}
