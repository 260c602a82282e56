// Runs: a list that keeps itself up to date, and one run.

import { all, get, query } from "../lib/api.js";
import { append, badge, button, empty, field, h, heading, replace, say, select, uniqueId } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { every } from "../lib/live.js";
import { stamp } from "../runs/timeline.js";

const STATUSES = ["queued", "running", "waiting", "succeeded", "partial", "failed", "blocked", "cancelled"];
const SPANS = [["", "Any time"], [900, "Last 15 minutes"], [3600, "Last hour"], [86_400, "Last day"], [7 * 86_400, "Last 7 days"]];
const PAGE = 50;
/** Who scrolls wants more at once. */
const MORE = 100;
/** How many pages are read for the first screen where they are short. */
const MOST_TURNS = 8;
/** How often the newest page is read again. */
const EVERY_MS = 3000;

export async function show(main, params) {
  if (params.length > 0) {
    const { showRun } = await import("../runs/run.js");
    return showRun(main, params);
  }
  const list = new List(params);
  await list.begin(main);
}

class List {
  constructor({ query: asked, signal }) {
    this.signal = signal;
    this.filters = Object.fromEntries(["flow", "call", "status", "since"].map((name) => [name, asked.get(name) ?? ""]));
    this.items = [];
    this.cursor = null;
    this.live = true;
    this.body = h("tbody");
    this.state = h("p", { class: "soft", role: "status" });
    this.older = button("Older runs", () => this.more());
    this.none = empty("No run fits.");
  }

  async begin(main) {
    const [controls] = await Promise.all([this.controls(), this.load()]);
    const live = button("Live", () => {
      this.live = !this.live;
      live.setAttribute("aria-pressed", String(this.live));
    }, "", { "aria-pressed": "true", title: "Reads the newest runs every three seconds" });
    const heads = [["Status"], ["Flow or call"], ["Began"], ["Took", "num"], ["What happened", "wide"], ["Fuel", "num wide"]];
    const rows = h("table", { "aria-label": "Runs" },
      h("thead", {}, h("tr", {}, heads.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)))), this.body);
    append(main, heading("Runs", live), controls,
      h("section", { class: "panel", "aria-label": "Runs" }, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "List of runs" }, rows),
        this.none, h("div", { class: "row" }, this.older, this.state)));
    every(EVERY_MS, this.signal, () => this.live && this.refresh());
    this.scroll();
  }

  /** The filters; each change is kept in the address, so that it can be shared and gone back to. */
  async controls() {
    const [flows, connectors] = await Promise.all([all("/v1/flows"), all("/v1/connectors")]);
    const calls = connectors.flatMap((connector) => Object.keys(connector.endpoints ?? {}).map((endpoint) => `${connector.name}/${endpoint}`));
    const { flow, call, status, since } = this.filters;
    const chosen = flow ? `flow:${flow}` : call ? `call:${call}` : "";
    const options = [["", "Everything"], ...withChosen(flows.map(({ name }) => `flow:${name}`), calls.map((name) => `call:${name}`), chosen)
      .map((value) => [value, value.replace(":", " ")])];
    const what = select(options, chosen);
    const state = select([["", "Any status"], ...STATUSES], status);
    const span = select(SPANS, since);
    const change = () => {
      const [kind, name] = [what.value.slice(0, 4), what.value.slice(5)];
      this.filters = { flow: kind === "flow" ? name : "", call: kind === "call" ? name : "", status: state.value, since: span.value };
      history.replaceState(null, "", query("#/runs", this.filters));
      this.load().catch((error) => this.signal.aborted || say(error.message, "bad"));
    };
    for (const control of [what, state, span]) control.addEventListener("change", change);
    return h("div", { class: "filters", role: "search", "aria-label": "Filter runs" },
      field("Flow or call", what), field("Status", state), field("Began", span));
  }

  async page(cursor) {
    const { since, ...rest } = this.filters;
    const from = since && new Date(Date.now() - Number(since) * 1000).toISOString();
    const page = await get(query("/v1/runs", { ...rest, since: from, limit: cursor ? MORE : PAGE, cursor }), { signal: this.signal });
    return { ...page, items: page.items.map(shown) };
  }

  async load() {
    const asked = this.filters;
    const page = await this.page(null);
    if (asked !== this.filters) return;
    this.items = page.items;
    this.cursor = page.next_cursor;
    // A page may be short although the list goes on: then a few more are asked for.
    for (let turn = 0; turn < MOST_TURNS && this.cursor && this.items.length < PAGE; turn += 1) {
      await this.more();
      if (asked !== this.filters) return;
    }
    this.draw();
  }

  /** Reads the next page; once at a time, whoever asks. */
  more() {
    if (!this.cursor) return Promise.resolve();
    this.loading ??= this.next().finally(() => {
      this.loading = null;
    });
    return this.loading;
  }

  async next() {
    const asked = this.filters;
    const page = await this.page(this.cursor);
    if (asked !== this.filters) return;
    this.cursor = page.next_cursor;
    const known = new Set(this.items.map((run) => run.id));
    this.items.push(...page.items.filter((run) => !known.has(run.id)));
    this.draw();
  }

  /** The newest page, put over what is there. Where so many are new that the two do not meet, the list begins anew. */
  async refresh() {
    const asked = this.filters;
    const page = await this.page(null);
    if (asked !== this.filters || this.loading) return;
    const fresh = new Map(page.items.map((run) => [run.id, run]));
    const meet = this.items.some((run) => fresh.has(run.id));
    // A page may be short although the list goes on. One with nothing says nothing of the rows that are there; one with something is filled up.
    if (!meet && page.next_cursor && page.items.length === 0) return this.draw();
    if (!meet && page.next_cursor && page.items.length < PAGE) return this.load();
    if (!meet) {
      this.items = page.items;
      this.cursor = page.next_cursor;
    } else {
      // What is within the newest page but not in it any more does not fit the filters any more.
      const oldest = page.items.at(-1);
      const kept = this.items.filter((run) => !fresh.has(run.id) && (page.next_cursor ? run.id < oldest.id : false));
      this.items = [...page.items, ...kept];
    }
    this.draw();
  }

  /** Rows that did not change stay as they are: a reader may be in one of them. */
  draw() {
    const old = new Map([...this.body.children].map((row) => [row.dataset.key, row]));
    const rows = this.items.map((run) => old.get(key(run)) ?? line(run));
    const wanted = new Set(rows);
    for (const row of old.values()) if (!wanted.has(row)) row.remove();
    let at = this.body.firstElementChild;
    for (const row of rows) {
      if (row === at) at = at.nextElementSibling;
      else this.body.insertBefore(row, at);
    }
    for (const cell of this.body.querySelectorAll("time")) cell.textContent = format.ago(cell.dateTime);
    this.older.hidden = !this.cursor;
    this.none.hidden = this.items.length > 0;
    this.none.textContent = this.cursor ? "None of the newest runs fits." : "No run fits.";
    const words = this.items.length === 0 ? "" : `${format.number(this.items.length)} shown${this.cursor ? "" : ", that is all"}`;
    if (this.state.textContent !== words) this.state.textContent = words;
  }

  /** The next page comes when its button comes into view. */
  scroll() {
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting) || !this.cursor) return;
      // It is looked at again when the page is there: where it is still in view, more is wanted.
      seen.unobserve(this.older);
      this.more().then(() => seen.observe(this.older), () => {});
    }, { rootMargin: "600px" });
    seen.observe(this.older);
    this.signal.addEventListener("abort", () => seen.disconnect());
  }
}

function withChosen(flows, calls, chosen) {
  const options = [...flows, ...calls];
  return chosen && !options.includes(chosen) ? [chosen, ...options] : options;
}

/** What a row shows of a run. A list of thousands does not keep what they asked and were answered. */
function shown({ id, flow, flow_version, call, status, code, message, attempt, started_at, ended_at, usage }) {
  return { id, flow, flow_version, call, status, code, message: shortened(message), attempt, started_at, ended_at, usage };
}

/** What a row shows depends on nothing else. */
function key(run) {
  return [run.id, run.status, run.ended_at, run.code, run.attempt].join(" ");
}

function line(run) {
  const id = uniqueId("run");
  const took = run.ended_at ? format.micros(stamp(run.ended_at) - stamp(run.started_at)) : "–";
  const name = run.flow ?? run.call;
  return h("tr", { dataset: { key: key(run) } },
    h("td", {}, badge(run.status)),
    h("td", {}, h("a", { href: `#/runs/${run.id}`, id }, name), " ",
      h("small", { class: "mono" }, run.flow ? `v${run.flow_version} ` : "", format.shortId(run.id))),
    h("td", {}, h("time", { datetime: run.started_at, title: format.moment(run.started_at) }, format.ago(run.started_at))),
    h("td", { class: "num" }, took),
    h("td", { class: "wide" }, run.code && h("code", {}, run.code), run.code && " ", h("span", { class: "soft" }, run.message)),
    h("td", { class: "num wide" }, run.usage?.fuel ? format.amount(run.usage.fuel) : "–"));
}

function shortened(text) {
  return text && text.length > 120 ? `${text.slice(0, 119)}…` : text;
}
