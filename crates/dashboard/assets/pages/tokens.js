// The tenant's tokens.

import { all, del, path } from "../lib/api.js";
import { append, badge, button, confirm, h, heading, panel, replace, say, table } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { session } from "../lib/session.js";
import { tokenForm } from "../lib/tokens.js";

export async function show(main) {
  const list = h("div");
  const draw = async () => replace(list, tokens(await all("/v1/tokens"), draw));
  await draw();
  append(main, heading("Tokens"), panel("Tokens of this tenant", list), panel("New token", tokenForm("/v1/tokens", draw)));
}

function tokens(items, draw) {
  const rows = items.map((token) => [
    h("span", {}, token.name, " ", token.id === session.me.token?.id && badge("this one", "info")),
    h("span", { class: "row" }, token.scopes.map((scope) => badge(scope, scope === "admin" ? "warn" : "plain"))),
    format.moment(token.created_at),
    token.expires_at ? expiry(token.expires_at) : "never",
    token.last_used_at ? format.ago(token.last_used_at) : "never",
    button("Delete", () => remove(token, draw), "danger", { "aria-label": `Delete ${token.name}` }),
  ]);
  return table("Tokens", ["Name", "Scopes", { text: "Made", class: "wide" }, "Expires", "Last used", { text: h("span", { class: "hidden" }, "Actions") }], rows);
}

function expiry(at) {
  return new Date(at) < new Date() ? badge("expired", "bad") : h("span", { title: format.moment(at) }, format.ago(at));
}

async function remove({ id, name }, draw) {
  const own = id === session.me.token?.id ? " It is the one that you are signed in with." : "";
  if (!await confirm(`Delete the token “${name}”?${own} Whoever uses it is refused from now on.`, "Delete the token")) return;
  await del(path`/v1/tokens/${id}`);
  say(`The token “${name}” is deleted.`, "good");
  await draw();
}
