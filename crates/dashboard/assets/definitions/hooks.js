// Hooks around a call, drawn in the order in which they run.

import { busy, h, replace } from "../lib/dom.js";
import { ABOUT } from "../lib/definitions.js";
import { may } from "../lib/session.js";
import { bindingPanel } from "./binding.js";

/**
 * The way of a call through its hooks: arguments, hooks, the request between them, the payload; and the way that a final failure takes. `owner` is an
 * endpoint, a connector or a step, whose `hooks` are shown and changed. `request`: what stands in the middle; absent where there are hooks alone.
 * `changed` is called after each change.
 */
export function pipeline({ owner, name, request, signal, changed }) {
  const details = h("div", { class: "detail" });
  const way = h("ol", { class: "way", "aria-label": `Hooks of ${name}` });
  const view = { owner, name, signal, changed, details, way };
  view.draw = () => {
    const node = (hook) => h("li", { class: "hook" }, hookBox(view, hook));
    const end = (text) => h("li", { class: "end" }, text);
    replace(way,
      end("arguments"), node("pre-hook"), node("pre-request"),
      request && h("li", { class: "request" }, request),
      node("post-request"), node("post-hook"), end("payload"),
      h("li", { class: "failing" }, h("span", { class: "soft" }, "final failure"), h("div", { class: "hook" }, hookBox(view, "post-fail"))));
  };
  view.draw();
  return h("div", { class: "stack" }, way, details);
}

/** One hook with its bindings in order, and a button for another. */
function hookBox(view, hook) {
  const list = view.owner.hooks?.[hook] ?? [];
  return [
    h("div", { class: "hook-name", title: ABOUT[hook] }, hook),
    list.length > 0 && h("ol", { class: "chips" }, list.map((binding) => h("li", {}, chip(binding, () => open(view, hook, binding))))),
    may("deploy") && h("button", { type: "button", class: "quiet add", "aria-label": `Add a script to ${hook} of ${view.name}`, onclick: () => add(view, hook) }, "+ script"),
  ];
}

/** A script and its version as a button. */
export function chip(binding, action) {
  const button = h("button", { type: "button", class: "chip" }, binding.script || "choose a script",
    binding.script && h("span", { class: "version" }, binding.version ? `v${binding.version}` : "latest"));
  button.addEventListener("click", () => busy(button, action));
  return button;
}

async function open(view, hook, binding) {
  const { owner, details, signal } = view;
  const list = owner.hooks[hook];
  const redraw = () => {
    view.draw();
    view.changed();
  };
  const close = () => replace(details);
  const panel = await bindingPanel({
    binding, hook, signal, close,
    title: `${hook} of ${view.name}`,
    changed: redraw,
    remove: () => {
      list.splice(list.indexOf(binding), 1);
      tidy(owner, hook);
      redraw();
      close();
    },
    up: list.indexOf(binding) > 0 && (() => {
      const at = list.indexOf(binding);
      if (at > 0) [list[at - 1], list[at]] = [list[at], list[at - 1]];
      redraw();
    }),
  });
  replace(details, panel);
  panel.querySelector("select")?.focus();
}

function add(view, hook) {
  const { owner } = view;
  const binding = {};
  owner.hooks ??= {};
  (owner.hooks[hook] ??= []).push(binding);
  view.draw();
  return open(view, hook, binding);
}

/** A hook without scripts is not written down. */
function tidy(owner, hook) {
  if (owner.hooks[hook].length === 0) delete owner.hooks[hook];
  if (Object.keys(owner.hooks).length === 0) delete owner.hooks;
}
