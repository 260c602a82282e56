// `TextEncoder` and `TextDecoder`, for UTF-8.
(function (native, globals) {
  "use strict";

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }

    encode(text = "") {
      return native.utf8(String(text));
    }

    encodeInto(text, target) {
      if (!(target instanceof Uint8Array)) throw new TypeError("encodeInto writes into a Uint8Array");
      let read = 0;
      let written = 0;
      for (const character of String(text)) {
        const bytes = native.utf8(character);
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += character.length;
      }
      return { read, written };
    }

    get [Symbol.toStringTag]() {
      return "TextEncoder";
    }
  }

  const LABELS = new Set(["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"]);

  class TextDecoder {
    #fatal;
    #ignoreBOM;
    // Bytes of a character that a chunk ended in.
    #rest = null;
    #started = false;

    constructor(label = "utf-8", options = {}) {
      const name = String(label).replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "").toLowerCase();
      if (!LABELS.has(name)) throw new RangeError(`the encoding "${label}" is not supported, only utf-8`);
      this.#fatal = Boolean(options?.fatal);
      this.#ignoreBOM = Boolean(options?.ignoreBOM);
    }

    get encoding() {
      return "utf-8";
    }

    get fatal() {
      return this.#fatal;
    }

    get ignoreBOM() {
      return this.#ignoreBOM;
    }

    decode(input = new Uint8Array(0), options = {}) {
      if (!ArrayBuffer.isView(input) && !(input instanceof ArrayBuffer)) throw new TypeError("TextDecoder decodes an ArrayBuffer or a view of one");
      let bytes = input instanceof ArrayBuffer ? new Uint8Array(input) : new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
      if (this.#rest !== null) {
        const joined = new Uint8Array(this.#rest.length + bytes.length);
        joined.set(this.#rest);
        joined.set(bytes, this.#rest.length);
        bytes = joined;
        this.#rest = null;
      }
      if (options?.stream) {
        const whole = bytes.length - native.unfinished(bytes);
        if (whole < bytes.length) this.#rest = bytes.slice(whole);
        bytes = bytes.subarray(0, whole);
      }
      let text = native.fromUtf8(bytes, this.#fatal);
      if (text !== "") {
        if (!this.#started && !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
        this.#started = true;
      }
      if (!options?.stream) this.#started = false;
      return text;
    }

    get [Symbol.toStringTag]() {
      return "TextDecoder";
    }
  }

  native.defineInterfaces(globals, { TextEncoder, TextDecoder });
})
