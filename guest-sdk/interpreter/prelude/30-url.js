// `URL` and `URLSearchParams`, over the parser.
(function (native, globals) {
  "use strict";
  const { parse, write, path, isSpecial, encodeSet, encodeAll, userinfoSet, percentDecode } = native.url;

  // A template refuses symbols, where `String` describes them.
  const toUSV = (value) => `${value}`.toWellFormed();
  function need(given, count) {
    if (given.length < count) throw new TypeError(`${count} argument${count > 1 ? "s are" : " is"} needed, and ${given.length} given`);
  }
  function decodeForm(text) {
    const spaced = text.replaceAll("+", " ");
    return spaced.includes("%") ? native.fromUtf8(percentDecode(spaced)) : spaced;
  }
  // Letters, digits and `*-._` stay, a space becomes a plus.
  const formSet = encodeSet("!\"#$%&'()+,/:;<=>?@[\\]^`{|}~");
  const encodeForm = (text) => encodeAll(text, formSet).replaceAll(" ", "+");

  function parseForm(text) {
    const pairs = [];
    for (const part of text.split("&")) {
      if (part === "") continue;
      const at = part.indexOf("=");
      pairs.push(at < 0 ? [decodeForm(part), ""] : [decodeForm(part.slice(0, at)), decodeForm(part.slice(at + 1))]);
    }
    return pairs;
  }

  const writeForm = (pairs) => pairs.map(([name, value]) => encodeForm(name) + "=" + encodeForm(value)).join("&");

  // Live, as on the platform: what is appended meanwhile is met.
  class Walk {
    #pairs;
    #part;
    #at = 0;

    constructor(pairs, part) {
      this.#pairs = pairs;
      this.#part = part;
    }

    next() {
      const pairs = this.#pairs();
      return this.#at < pairs.length ? { value: this.#part(pairs[this.#at++]), done: false } : { value: undefined, done: true };
    }

    get [Symbol.toStringTag]() {
      return "URLSearchParams Iterator";
    }
  }
  delete Walk.prototype.constructor;
  Object.setPrototypeOf(Walk.prototype, Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())));

  // Set by `URL` for the parameters that belong to one.
  let attach;
  let refill;

  class URLSearchParams {
    #pairs = [];
    #changed = null;

    static {
      attach = (parameters, changed) => (parameters.#changed = changed);
      refill = (parameters, text) => (parameters.#pairs = parseForm(text));
    }

    constructor(init = "") {
      if (init === null || (typeof init !== "object" && typeof init !== "function")) {
        const text = toUSV(init);
        this.#pairs = parseForm(text[0] === "?" ? text.slice(1) : text);
        return;
      }
      if (init[Symbol.iterator] != null) {
        for (const pair of init) {
          const parts = [...pair];
          if (parts.length !== 2) throw new TypeError("URLSearchParams takes pairs of name and value");
          this.#pairs.push([toUSV(parts[0]), toUSV(parts[1])]);
        }
        return;
      }
      const record = new Map();
      for (const key of Reflect.ownKeys(init)) {
        if (Object.getOwnPropertyDescriptor(init, key)?.enumerable) record.set(toUSV(key), toUSV(init[key]));
      }
      this.#pairs = [...record];
    }

    #update() {
      this.#changed?.(writeForm(this.#pairs));
    }

    get size() {
      return this.#pairs.length;
    }

    append(name, value) {
      need(arguments, 2);
      this.#pairs.push([toUSV(name), toUSV(value)]);
      this.#update();
    }

    delete(name, value) {
      need(arguments, 1);
      name = toUSV(name);
      if (value !== undefined) value = toUSV(value);
      this.#pairs = this.#pairs.filter((pair) => pair[0] !== name || (value !== undefined && pair[1] !== value));
      this.#update();
    }

    get(name) {
      need(arguments, 1);
      name = toUSV(name);
      return this.#pairs.find((pair) => pair[0] === name)?.[1] ?? null;
    }

    getAll(name) {
      need(arguments, 1);
      name = toUSV(name);
      return this.#pairs.filter((pair) => pair[0] === name).map((pair) => pair[1]);
    }

    has(name, value) {
      need(arguments, 1);
      name = toUSV(name);
      if (value !== undefined) value = toUSV(value);
      return this.#pairs.some((pair) => pair[0] === name && (value === undefined || pair[1] === value));
    }

    set(name, value) {
      need(arguments, 2);
      name = toUSV(name);
      value = toUSV(value);
      const first = this.#pairs.find((pair) => pair[0] === name);
      if (first === undefined) {
        this.#pairs.push([name, value]);
      } else {
        first[1] = value;
        this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== name);
      }
      this.#update();
    }

    sort() {
      this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#update();
    }

    forEach(callback, self) {
      if (typeof callback !== "function") throw new TypeError("forEach takes a function");
      for (let i = 0; i < this.#pairs.length; i++) callback.call(self, this.#pairs[i][1], this.#pairs[i][0], this);
    }

    #walk(part) {
      return new Walk(() => this.#pairs, part);
    }

    entries() {
      return this.#walk(([name, value]) => [name, value]);
    }

    keys() {
      return this.#walk((pair) => pair[0]);
    }

    values() {
      return this.#walk((pair) => pair[1]);
    }

    toString() {
      return writeForm(this.#pairs);
    }

    get [Symbol.toStringTag]() {
      return "URLSearchParams";
    }
  }

  Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
    value: URLSearchParams.prototype.entries,
    writable: true,
    configurable: true,
    enumerable: false,
  });

  function parsed(url, base) {
    const root = base === undefined ? null : parse(toUSV(base));
    return base !== undefined && root === null ? null : parse(toUSV(url), root);
  }

  function originOf(url) {
    const { scheme, host, port } = url;
    if (scheme === "blob:") {
      const inner = parse(path(url));
      return inner !== null && (inner.scheme === "http:" || inner.scheme === "https:") ? originOf(inner) : "null";
    }
    return isSpecial(url) && scheme !== "file:" ? scheme + "//" + host + (port === null ? "" : ":" + port) : "null";
  }

  class URL {
    #url;
    #parameters = null;

    constructor(url, base) {
      this.#url = parsed(url, base);
      if (this.#url === null) throw new TypeError(`Invalid URL: ${String(url).slice(0, 200)}`);
    }

    static canParse(url, base) {
      need(arguments, 1);
      return parsed(url, base) !== null;
    }

    static parse(url, base) {
      need(arguments, 1);
      return URL.canParse(url, base) ? new URL(url, base) : null;
    }

    #set(value, state) {
      parse(toUSV(value), null, this.#url, state);
    }

    get #fixed() {
      return this.#url.host === null || this.#url.host === "" || this.#url.scheme === "file:";
    }

    get href() {
      return write(this.#url);
    }

    set href(value) {
      const url = parse(toUSV(value));
      if (url === null) throw new TypeError(`Invalid URL: ${String(value).slice(0, 200)}`);
      this.#url = url;
      if (this.#parameters !== null) refill(this.#parameters, url.query ?? "");
    }

    get origin() {
      return originOf(this.#url);
    }

    get protocol() {
      return this.#url.scheme;
    }

    set protocol(value) {
      this.#set(toUSV(value) + ":", "scheme start");
    }

    get username() {
      return this.#url.username;
    }

    set username(value) {
      if (!this.#fixed) this.#url.username = encodeAll(toUSV(value), userinfoSet);
    }

    get password() {
      return this.#url.password;
    }

    set password(value) {
      if (!this.#fixed) this.#url.password = encodeAll(toUSV(value), userinfoSet);
    }

    get host() {
      const { host, port } = this.#url;
      return host === null ? "" : host + (port === null ? "" : ":" + port);
    }

    set host(value) {
      if (typeof this.#url.path !== "string") this.#set(value, "host");
    }

    get hostname() {
      return this.#url.host ?? "";
    }

    set hostname(value) {
      if (typeof this.#url.path !== "string") this.#set(value, "hostname");
    }

    get port() {
      return this.#url.port === null ? "" : String(this.#url.port);
    }

    set port(value) {
      if (this.#fixed) return;
      if (toUSV(value) === "") this.#url.port = null;
      else this.#set(value, "port");
    }

    get pathname() {
      return path(this.#url);
    }

    set pathname(value) {
      if (typeof this.#url.path === "string") return;
      this.#url.path = [];
      this.#set(value, "path start");
    }

    get search() {
      return this.#url.query ? "?" + this.#url.query : "";
    }

    set search(value) {
      const text = toUSV(value);
      if (text === "") {
        this.#url.query = null;
      } else {
        this.#url.query = "";
        this.#set(text[0] === "?" ? text.slice(1) : text, "query");
      }
      if (this.#parameters !== null) refill(this.#parameters, this.#url.query ?? "");
    }

    get searchParams() {
      if (this.#parameters === null) {
        this.#parameters = new URLSearchParams(this.#url.query ?? "");
        attach(this.#parameters, (text) => (this.#url.query = text === "" ? null : text));
      }
      return this.#parameters;
    }

    get hash() {
      return this.#url.fragment ? "#" + this.#url.fragment : "";
    }

    set hash(value) {
      const text = toUSV(value);
      if (text === "") {
        this.#url.fragment = null;
      } else {
        this.#url.fragment = "";
        this.#set(text[0] === "#" ? text.slice(1) : text, "fragment");
      }
    }

    toString() {
      return this.href;
    }

    toJSON() {
      return this.href;
    }

    get [Symbol.toStringTag]() {
      return "URL";
    }
  }

  native.defineInterfaces(globals, { URL, URLSearchParams });
})
