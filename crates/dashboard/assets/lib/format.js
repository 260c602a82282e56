// Times, durations, sizes and numbers, for people.

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const NUMBER = new Intl.NumberFormat();

/** A time of day for today, else the date as well. */
export function time(text) {
  if (!text) return "–";
  const at = new Date(text);
  return (at.toDateString() === new Date().toDateString() ? TIME : DATE).format(at);
}

/** Hours and minutes. */
export function clock(text) {
  return CLOCK.format(new Date(text));
}

/** A whole date and time. */
export function moment(text) {
  return text ? DATE.format(new Date(text)) : "–";
}

/** How long ago, or in how long. */
export function ago(text, now = Date.now()) {
  if (!text) return "never";
  const seconds = Math.round((now - new Date(text).getTime()) / 1000);
  const size = Math.abs(seconds);
  const shown = size < 60 ? `${size} s` : size < 3600 ? `${Math.round(size / 60)} min` : size < 86_400 ? `${Math.round(size / 3600)} h`
    : `${Math.round(size / 86_400)} d`;
  return seconds >= 0 ? `${shown} ago` : `in ${shown}`;
}

/** A duration in microseconds. */
export function micros(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  return millis(us / 1000);
}

/** A duration in milliseconds. */
export function millis(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${short(ms)} ms`;
  if (ms < 60_000) return `${short(ms / 1000)} s`;
  return seconds(ms / 1000);
}

/** A duration in seconds, in the largest unit that divides it well. */
export function seconds(s) {
  if (s < 60) return `${short(s)} s`;
  if (s < 3600) return `${short(s / 60)} min`;
  if (s < 86_400) return `${short(s / 3600)} h`;
  return `${short(s / 86_400)} days`;
}

/** A size in bytes. */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  if (count < 1024) return `${count} B`;
  if (count < 1 << 20) return `${short(count / 1024)} KiB`;
  if (count < 1 << 30) return `${short(count / (1 << 20))} MiB`;
  return `${short(count / (1 << 30))} GiB`;
}

/** A number, its digits in groups. */
export function number(count) {
  return count === null || count === undefined ? "–" : NUMBER.format(count);
}

/** A large number in short: 1.2 M. */
export function amount(count) {
  if (count === null || count === undefined) return "–";
  if (count < 10_000) return NUMBER.format(count);
  if (count < 1e6) return `${short(count / 1e3)} k`;
  if (count < 1e9) return `${short(count / 1e6)} M`;
  return `${short(count / 1e9)} G`;
}

/** A part of a whole, 0 to 1. */
export function percent(part) {
  return `${part < 0.1 && part > 0 ? (part * 100).toFixed(1) : Math.round(part * 100)} %`;
}

/** A limit's value, by the unit in its name. */
export function limit(name, value) {
  if (name.endsWith("_bytes") || name === "memory" || name === "output") return bytes(value);
  if (name.endsWith("_ms")) return millis(value);
  if (name.endsWith("_us")) return micros(value);
  if (name.endsWith("_s") && !name.endsWith("per_s")) return seconds(value);
  return amount(value);
}

/** The first letters of an id, which are enough to tell two apart on a page. */
export function shortId(id) {
  return id.length > 13 ? id.slice(-8) : id;
}

function short(value) {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
