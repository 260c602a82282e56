// One run: what it came to, its picture on a time axis, and what can be done with it.

import { all, get, path, post } from "../lib/api.js";
import { append, badge, button, confirm, empty, h, heading, panel, replace, say } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { every } from "../lib/live.js";
import { may } from "../lib/session.js";
import { detail } from "./detail.js";
import { replayPanel } from "./replay.js";
import { rows, span, stamp } from "./timeline.js";
import { waterfall } from "./waterfall.js";

/** How often a run is read again while it goes on. */
const EVERY_MS = 1000;

export async function showRun(main, params) {
  const page = new Page(params[0], params.query.get("open"));
  await page.load();
  append(main, page.element);
  page.draw(true);
  every(EVERY_MS, params.signal, async () => {
    if (page.run.ended_at) return;
    if (await page.load()) page.draw(false);
  });
}

class Page {
  constructor(id, open) {
    this.id = id;
    this.open = open;
    this.head = h("div");
    this.facts = h("div");
    this.picture = h("div");
    this.below = h("div", { class: "stack" });
    this.element = h("div", { class: "stack" }, this.head, this.facts, panel("What ran", this.picture), this.below);
  }

  /** Gives whether anything is other than it was. */
  async load() {
    const address = path`/v1/runs/${this.id}`;
    const [run, events] = await Promise.all([get(address), all(`${address}/events`)]);
    this.run = run;
    this.events = events;
    this.rows = rows(run, events);
    const text = JSON.stringify([run, events]);
    const differs = text !== this.text;
    this.text = text;
    return differs;
  }

  draw(first) {
    const { run } = this;
    if (first && this.open === null) this.open = this.rows.find((row) => row.bad && row.kind !== "step")?.id ?? null;
    // A reader may be in what is drawn anew: details are the same elements again, everything else has the same id.
    const was = this.element.contains(document.activeElement) ? document.activeElement : null;
    replace(this.head, heading(h("span", {}, run.flow ?? run.call, " ", badge(run.status)), this.actions()));
    replace(this.facts, this.summary());
    this.drawPicture();
    const now = was?.isConnected ? was : was?.id && document.getElementById(was.id);
    if (now && now !== document.activeElement) now.focus({ preventScroll: true });
  }

  drawPicture() {
    if (this.rows.length === 0) {
      replace(this.picture, empty(this.run.ended_at ? "Nothing ran." : "Nothing has run yet."));
      return;
    }
    const onopen = (id) => {
      const was = document.activeElement?.id;
      this.open = id;
      history.replaceState(null, "", `#/runs/${this.id}${id ? `?open=${encodeURIComponent(id)}` : ""}`);
      this.drawPicture();
      if (was) document.getElementById(was)?.focus();
    };
    replace(this.picture, waterfall(this.rows, span(this.run, this.rows), { open: this.open, onopen, detail: (row) => this.detailOf(row) }));
  }

  /** Made once for each row, so that a picture that is drawn anew does not read everything again. */
  detailOf(row) {
    this.details ??= new Map();
    if (!this.details.has(row.id)) this.details.set(row.id, detail(row, () => this.replayed()));
    return this.details.get(row.id);
  }

  /** The recorded invocations by step, hook, script and occurrence. Read once, when a hook is first opened. */
  replayed() {
    if (this.run.payloads_removed) return Promise.reject(new Error("What went in and out is not kept any more."));
    if (!this.run.ended_at) return Promise.reject(new Error("What went in and out is shown when the run has ended."));
    if (!may("invoke")) return Promise.reject(new Error("What went in and out needs a token with the scope invoke."));
    this.recording ??= post(path`/v1/runs/${this.id}/replay`, {}).then(({ invocations }) => {
      const counts = new Map();
      return new Map(invocations.map((invocation) => {
        const key = [invocation.step, invocation.hook, invocation.script].join("\n");
        const occurrence = counts.get(key) ?? 0;
        counts.set(key, occurrence + 1);
        return [`${key}\n${occurrence}`, invocation];
      }));
    });
    return this.recording;
  }

  summary() {
    const { run } = this;
    const end = run.ended_at ? format.micros(stamp(run.ended_at) - stamp(run.started_at)) : "goes on";
    const link = (id) => h("a", { href: `#/runs/${id}`, class: "mono" }, format.shortId(id));
    const facts = [
      ["Run", h("span", { class: "mono" }, run.id), "long"],
      ["Began", h("span", { title: format.moment(run.started_at) }, format.time(run.started_at))],
      ["Took", end],
      run.flow && ["Flow version", h("a", { href: `#/flows/${encodeURIComponent(run.flow)}` }, String(run.flow_version))],
      run.subject && ["Subject", run.subject],
      run.attempt > 1 && ["Attempt", String(run.attempt)],
      run.retry_of && ["Repeats", link(run.retry_of)],
      run.retry_run && ["Repeated by", link(run.retry_run)],
      ["Fuel", format.amount(run.usage.fuel)],
      ["Time in hooks", format.micros(run.usage.wall_us)],
      run.document?.status && ["Document", [run.document.status, run.document.error_code, run.document.error_text].filter(Boolean).join(" · ")],
    ].filter(Boolean);
    const message = run.message ?? (run.code && "");
    return h("section", { class: "panel", "aria-label": "Summary" },
      run.code && h("p", { class: "problem" }, h("code", {}, run.code), " ", message),
      h("dl", { class: "facts" }, facts.map(([name, value, kind]) => h("div", { class: kind }, h("dt", {}, name), h("dd", {}, value)))));
  }

  actions() {
    if (!may("invoke")) return [];
    const address = path`/v1/runs/${this.id}`;
    if (!this.run.ended_at) {
      return [button("Cancel", async () => {
        if (!await confirm("Cancel this run? What it has already asked of upstreams stays done.", "Cancel the run")) return;
        await post(`${address}/cancel`);
        say("The run is cancelled.", "good");
        await this.load();
        this.draw(false);
      }, "danger", { id: "cancel-run" })];
    }
    return [
      this.run.flow && button("Retry", async () => {
        const { run } = await post(`${address}/retry`);
        say("A new run has begun with the same input.", "good");
        location.hash = `#/runs/${run}`;
      }),
      button("Replay…", async () => {
        const made = await replayPanel(this.run, this.rows);
        replace(this.below, made);
        made.scrollIntoView({ block: "nearest" });
        made.querySelector("select, button")?.focus();
      }, "primary"),
    ].filter(Boolean);
  }
}
