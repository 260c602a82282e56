// The shell: who is signed in, which page is shown, the theme.

import { get, setToken, token } from "./lib/api.js";
import { busy, button, field, form, h, replace, say, select, empty } from "./lib/dom.js";
import { may, session } from "./lib/session.js";
import { isUnsaved, mayLeave, settled, watchLeaving } from "./lib/unsaved.js";

/** Pages in the order of the navigation; a page is `pages/NAME.js` and exports `show(main, params)`. */
const PAGES = [
  { name: "overview", text: "Overview", scope: "read", group: "Watch" },
  { name: "runs", text: "Runs", scope: "read", group: "Watch" },
  { name: "scripts", text: "Scripts", scope: "read", group: "Build" },
  { name: "connectors", text: "Connectors", scope: "read", group: "Build" },
  { name: "flows", text: "Flows", scope: "read", group: "Build" },
  { name: "connections", text: "Connections", scope: "read", group: "Build" },
  { name: "tokens", text: "Tokens", scope: "admin", group: "Manage" },
  { name: "usage", text: "Usage and quotas", scope: "read", group: "Manage" },
  { name: "audit", text: "Audit", scope: "admin", group: "Manage" },
  { name: "tenants", text: "Tenants", scope: "operator", group: "Operate" },
];

const main = document.getElementById("main");
const navigation = document.getElementById("navigation");
const menu = document.getElementById("menu");
const who = document.getElementById("who");
const wide = matchMedia("(min-width: 860px)");

/** Ends what the page before still does. */
let leaving = new AbortController();

/** `#/runs/ID?x=1` as `{name: "runs", segments: ["ID"], query}`. An address that cannot be read is one without a page. */
function route() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  let parts;
  try {
    parts = path.split("/").map(decodeURIComponent);
  } catch {
    parts = [path];
  }
  const [name, ...segments] = parts;
  return { name: name || home(), segments, query: new URLSearchParams(search ?? "") };
}

function home() {
  return session.me?.operator ? "tenants" : "overview";
}

async function render() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  settled();
  closeMenu();
  if (!session.me) return signIn();
  const { name, segments, query } = route();
  const page = PAGES.find((page) => page.name === name);
  mark(name);
  if (!page || !may(page.scope)) {
    document.title = "Snaphook";
    return replace(main, h("h1", {}, "Nothing here"), empty(page ? `This token may not see “${page.text}”.` : "There is no such page."));
  }
  document.title = `${[page.text, ...segments].join(" · ")} – Snaphook`;
  // What is slow to come is said; what is quick does not flicker.
  const slow = setTimeout(() => {
    if (!signal.aborted) replace(main, h("p", { class: "loading", role: "status" }, "Loading…"));
  }, 250);
  // A page is made aside and shown whole, so that one that is left meanwhile leaves nothing behind.
  const shown = h("div", { class: `page page-${name}` });
  try {
    const { show } = await import(`./pages/${name}.js`);
    const params = Object.assign([...segments], { query, signal });
    await show(shown, params);
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    if (!error.status) console.error(error);
    replace(shown, h("h1", {}, page.text), h("p", { class: "problem", role: "alert" }, error.message ?? String(error)),
      button("Try again", render));
  } finally {
    clearTimeout(slow);
  }
  if (signal.aborted) return;
  // What was written on the page before while this one was made is gone with it.
  settled();
  replace(main, shown);
  if (document.activeElement === document.body || document.activeElement?.closest("nav")) main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function mark(name) {
  for (const link of navigation.querySelectorAll("a")) {
    if (link.dataset.name === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function drawNavigation() {
  const allowed = PAGES.filter((page) => may(page.scope));
  const groups = [...new Set(allowed.map((page) => page.group))];
  replace(navigation, groups.map((group) => [
    h("h2", {}, group),
    h("ul", {}, allowed.filter((page) => page.group === group).map((page) =>
      h("li", {}, h("a", { href: `#/${page.name}`, dataset: { name: page.name } }, page.text)))),
  ]));
  const { tenant, operator, token: used } = session.me;
  replace(who,
    h("span", { class: "name" }, operator ? "operator" : tenant, used?.name && h("small", {}, used.name)),
    themes(),
    button("Sign out", async () => await mayLeave() && signOut(), "quiet"));
  menu.hidden = wide.matches;
  navigation.hidden = !wide.matches;
}

function themes() {
  const chosen = document.documentElement.dataset.theme ?? "system";
  const control = select([["system", "System"], ["light", "Light"], ["dark", "Dark"]], chosen, { "aria-label": "Theme", class: "theme" });
  control.addEventListener("change", () => {
    if (control.value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = control.value;
    localStorage.setItem("snaphook-theme", control.value);
    document.dispatchEvent(new CustomEvent("theme-changed"));
  });
  return control;
}

function signIn() {
  document.title = "Sign in – Snaphook";
  navigation.hidden = true;
  menu.hidden = true;
  replace(who, themes());
  replace(main, h("div", { class: "sign-in" }, h("h1", {}, "Sign in"),
    h("p", {}, "With a tenant’s token, or the operator’s. ", h("code", {}, "snaphook dev"), " prints one when it starts."),
    signInForm(render)));
  main.querySelector("input").focus();
}

/** Asks for a token until one is good; `then` is called when it is. */
function signInForm(then, ...actions) {
  const input = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, spellcheck: "false" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const attempt = async () => {
    setToken(input.value.trim());
    try {
      await begin();
    } catch (error) {
      setToken(null);
      problem.hidden = false;
      problem.textContent = error.status === 401 ? "This node does not know that token, or it has expired." : error.message;
      input.focus();
      return;
    }
    await then();
  };
  return form({ "aria-label": "Sign in", class: "stack" }, attempt, field("Token", input, "Kept in this tab only, until it is closed."), problem,
    h("button", { class: "primary", type: "submit" }, "Sign in"), actions);
}

/** The same over the page, which has something on it that is not saved yet and is kept. */
function signInAgain() {
  const { tenant, operator } = session.me;
  let answered = false;
  const end = () => {
    answered = true;
    dialog.close();
    dialog.remove();
  };
  const go = () => {
    end();
    // What another tenant's page shows is not this token's to see.
    if (session.me.tenant !== tenant || session.me.operator !== operator) return render();
    mark(route().name);
  };
  const giveUp = button("Leave without saving", () => {
    end();
    return signOut();
  }, "danger");
  const dialog = h("dialog", { id: "sign-in-again", "aria-labelledby": "sign-in-again-title" },
    h("h2", { id: "sign-in-again-title" }, "Sign in again"),
    h("p", {}, "The token is not valid any more. What you have written is still here."),
    signInForm(go, giveUp));
  // Escape would leave a page with which nothing can be done.
  dialog.addEventListener("close", () => answered || dialog.showModal());
  document.body.append(dialog);
  dialog.showModal();
}

function signOut() {
  settled();
  setToken(null);
  session.me = null;
  location.hash = "";
  return render();
}

async function begin() {
  session.me = await get("/v1/me");
  drawNavigation();
}

function closeMenu() {
  if (!wide.matches) navigation.hidden = true;
  menu.setAttribute("aria-expanded", "false");
}

menu.addEventListener("click", () => {
  navigation.hidden = !navigation.hidden;
  menu.setAttribute("aria-expanded", String(!navigation.hidden));
  if (!navigation.hidden) navigation.querySelector("a")?.focus();
});
wide.addEventListener("change", () => {
  if (!session.me) return;
  navigation.hidden = !wide.matches;
  menu.hidden = wide.matches;
});
watchLeaving(render);
document.addEventListener("signed-out", () => {
  if (!session.me || document.getElementById("sign-in-again")) return;
  if (isUnsaved()) {
    setToken(null);
    return signInAgain();
  }
  say("The token is not valid any more; sign in again.", "bad");
  signOut();
});
// The link would else change the hash, which is the page.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

busy(main, async () => {
  if (token()) {
    try {
      await begin();
    } catch (error) {
      if (error.status === 401) setToken(null);
      say(error.message, "bad");
    }
  }
  await render();
});
