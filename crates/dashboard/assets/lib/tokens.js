// The form that makes a token, for a tenant's own page and for the operator's.

import { post } from "./api.js";
import { checkbox, field, form, h, replace, select } from "./dom.js";
import { once } from "./once.js";

const SCOPES = [
  ["read", "read everything but secrets"],
  ["invoke", "call, start, retry, cancel and replay"],
  ["deploy", "write scripts, connectors, flows, connections and secrets"],
  ["callback", "resume waiting steps"],
  ["admin", "all of these, and tokens"],
];
const EXPIRIES = [["", "never"], [3600, "in an hour"], [86_400, "in a day"], [30 * 86_400, "in 30 days"], [365 * 86_400, "in a year"]];

/** `address`: where the token is made; `made()` is called when it is. */
export function tokenForm(address, made, chosen = ["read"]) {
  const name = h("input", { name: "name", required: true, maxlength: "200", autocomplete: "off" });
  const expires = select(EXPIRIES, 30 * 86_400);
  const boxes = SCOPES.map(([scope, text]) => [scope, checkbox([h("strong", {}, scope), " ", h("span", { class: "soft" }, text)], chosen.includes(scope))]);
  const result = h("div");
  const submit = async () => {
    const scopes = boxes.filter(([, label]) => label.querySelector("input").checked).map(([scope]) => scope);
    const body = { name: name.value.trim(), scopes, ...(expires.value && { expires_s: Number(expires.value) }) };
    const { token } = await post(address, body);
    name.value = "";
    replace(result, once("The new token", token));
    await made();
  };
  return h("div", { class: "stack" },
    form({ class: "stack", "aria-label": "New token" }, submit,
      h("div", { class: "fields" }, field("Name", name, "For people: who or what will use it."), field("Expires", expires)),
      h("fieldset", {}, h("legend", {}, "Scopes"), h("div", { class: "stack tight" }, boxes.map(([, label]) => label))),
      h("div", {}, h("button", { type: "submit", class: "primary" }, "Make the token"))),
    result);
}
