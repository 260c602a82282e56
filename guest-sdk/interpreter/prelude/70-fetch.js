// `fetch`, where the host grants it, and the response it gives.
(function (native, globals) {
  "use strict";

  function bytesOf(body) {
    if (body === undefined || body === null) return [undefined, null];
    if (typeof body === "string") return [native.utf8(body), "text/plain;charset=UTF-8"];
    if (body instanceof URLSearchParams) return [native.utf8(String(body)), "application/x-www-form-urlencoded;charset=UTF-8"];
    if (body instanceof ArrayBuffer) return [new Uint8Array(body), null];
    if (ArrayBuffer.isView(body)) return [body, null];
    throw new TypeError("the body of a request must be text, bytes or URLSearchParams; use JSON.stringify for a value");
  }

  class Response {
    #body;
    #used = false;

    constructor(token, url, answer) {
      if (token !== native) throw new TypeError("a Response comes from fetch");
      this.url = url;
      this.status = answer.status;
      this.ok = answer.status >= 200 && answer.status < 300;
      this.headers = answer.headers;
      this.#body = answer.body;
    }

    get bodyUsed() {
      return this.#used;
    }

    #take() {
      if (this.#used) throw new TypeError("the body was read already");
      this.#used = true;
      return this.#body;
    }

    async bytes() {
      return this.#take();
    }

    async arrayBuffer() {
      return this.#take().buffer;
    }

    async text() {
      return native.fromUtf8(this.#take()).replace(/^\ufeff/, "");
    }

    async json() {
      return native.parseJSON(this.#take());
    }
  }

  async function fetch(resource, options = {}) {
    const url = String(resource);
    const method = String(options.method ?? "GET").toUpperCase();
    const headers = new Headers(options.headers);
    const [body, type] = bytesOf(options.body);
    if (body !== undefined && (method === "GET" || method === "HEAD")) throw new TypeError(`a ${method} request has no body`);
    if (type !== null && !headers.has("content-type")) headers.set("content-type", type);
    return new Response(native, url, await native.request(method, url, headers, body));
  }

  native.define(globals, { fetch });
})
