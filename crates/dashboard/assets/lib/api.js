// The public API of this node, as the signed-in token may use it.

const TOKEN = "snaphook-token";

/** An answer that is no success. `message` is fit to be shown; `problem` is the document that came, if one did. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(readable(status, problem));
    this.status = status;
    this.problem = problem;
  }
}

function readable(status, problem) {
  if (!problem) return status === 0 ? "The node does not answer." : `The node answered with status ${status}.`;
  const where = problem.line ? ` (line ${problem.line}${problem.column ? `, column ${problem.column}` : ""})` : "";
  const place = problem.path ? `${problem.path}: ` : "";
  return `${place}${problem.detail || problem.title}${where} [${problem.code}]`;
}

/** The token of this tab; it goes when the tab is closed. */
export function token() {
  return sessionStorage.getItem(TOKEN);
}

/** Keeps a token for this tab, or forgets it. */
export function setToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

/** Puts values into a path or a query, so that none of them is read as part of the address. */
export function path(strings, ...values) {
  return String.raw({ raw: strings }, ...values.map((value) => encodeURIComponent(value)));
}

/** Adds those parameters to a path that have a value. */
export function query(base, parameters) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, value);
  }
  const text = search.toString();
  return text ? `${base}?${text}` : base;
}

/**
 * Sends a request and gives the `Response`, whatever its status. `body`: JSON value, or text with `type` given.
 * Throws an `ApiError` with status 0 when the node does not answer.
 */
export async function send(method, address, { body, type, headers, signal } = {}) {
  const all = { ...headers };
  const signed = token();
  if (signed) all.authorization = `Bearer ${signed}`;
  const options = { method, headers: all, signal, cache: "no-store", redirect: "error" };
  if (body !== undefined) {
    all["content-type"] = type ?? "application/json";
    options.body = type ? body : JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, null);
  }
  if (response.status === 401 && signed) document.dispatchEvent(new CustomEvent("signed-out"));
  return response;
}

async function value(method, address, options) {
  const response = await send(method, address, options);
  const text = await response.text();
  const kind = response.headers.get("content-type") ?? "";
  const read = kind.includes("json") && text ? JSON.parse(text) : text;
  if (response.ok) return response.status === 204 ? null : read;
  throw new ApiError(response.status, kind.includes("problem") ? read : null);
}

/** Reads; gives JSON as a value and anything else as text. */
export const get = (address, options) => value("GET", address, options);
/** Writes a JSON value, or text with `{type}`. */
export const put = (address, body, options) => value("PUT", address, { ...options, body });
/** Does something; the body may be left out. */
export const post = (address, body, options) => value("POST", address, { ...options, body });
/** Deletes. */
export const del = (address, options) => value("DELETE", address, options);

/** Whether there is something at an address: what is made anew must not replace what somebody else has made. */
export async function exists(address) {
  const response = await send("GET", address);
  if (response.ok) return true;
  if (response.status === 404) return false;
  throw new ApiError(response.status, await response.json().catch(() => null));
}

/** All items of a list, up to `most`. */
export async function all(address, most = 1000) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(query(address, { limit: 200, cursor }));
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return items;
}
