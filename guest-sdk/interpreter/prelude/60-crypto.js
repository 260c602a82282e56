// `crypto`: chance from the invocation's seed, digests, and HMAC with raw keys. The host does the work.
(function (native, globals) {
  "use strict";
  const ALGORITHMS = { __proto__: null, "SHA-1": 0, "SHA-256": 1, "SHA-384": 2, "SHA-512": 3 };
  const unsupported = (what) => new DOMException(`${what} is not supported`, "NotSupportedError");

  const nameOf = (algorithm) => String(typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm).toUpperCase();

  function hashOf(algorithm) {
    const number = ALGORITHMS[nameOf(algorithm)];
    if (number === undefined) throw unsupported(`the digest ${nameOf(algorithm)}`);
    return number;
  }

  function bytesOf(data) {
    if (data instanceof ArrayBuffer) return new Uint8Array(data);
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    throw new TypeError("an ArrayBuffer or a view of one is wanted");
  }

  // The keys' secrets are out of reach of the objects that stand for them.
  const secrets = new WeakMap();

  class CryptoKey {
    constructor(token, secret, hash, extractable, usages) {
      if (token !== secrets) throw new TypeError("a key comes from crypto.subtle.importKey");
      secrets.set(this, secret);
      Object.assign(this, { type: "secret", extractable, algorithm: { name: "HMAC", hash: { name: hash }, length: secret.length * 8 }, usages });
    }
  }

  function macOf(algorithm, key, usage, data) {
    if (nameOf(algorithm) !== "HMAC") throw unsupported(nameOf(algorithm));
    const secret = secrets.get(key);
    if (secret === undefined) throw new TypeError("the key is not a CryptoKey");
    if (!key.usages.includes(usage)) throw new DOMException(`the key may not be used to ${usage}`, "InvalidAccessError");
    return native.hmac(hashOf(key.algorithm.hash), secret, bytesOf(data));
  }

  // Constant in time, as a comparison of signatures has to be.
  function equal(a, b) {
    let difference = a.length ^ b.length;
    for (let i = 0; i < a.length; i++) difference |= a[i] ^ (b[i] ?? 0);
    return difference === 0;
  }

  class SubtleCrypto {
    async digest(algorithm, data) {
      return native.digest(hashOf(algorithm), bytesOf(data)).buffer;
    }

    async importKey(format, keyData, algorithm, extractable, usages) {
      if (format !== "raw") throw unsupported(`the key format ${format}`);
      if (nameOf(algorithm) !== "HMAC") throw unsupported(nameOf(algorithm));
      const hash = nameOf(algorithm.hash);
      hashOf(hash);
      const list = [...usages];
      if (list.length === 0 || list.some((usage) => usage !== "sign" && usage !== "verify")) {
        throw new DOMException("an HMAC key is for sign and verify", "SyntaxError");
      }
      return new CryptoKey(secrets, bytesOf(keyData).slice(), hash, Boolean(extractable), list);
    }

    async exportKey(format, key) {
      if (format !== "raw") throw unsupported(`the key format ${format}`);
      if (!key.extractable) throw new DOMException("the key is not extractable", "InvalidAccessError");
      return secrets.get(key).slice().buffer;
    }

    async sign(algorithm, key, data) {
      return macOf(algorithm, key, "sign", data).buffer;
    }

    async verify(algorithm, key, signature, data) {
      return equal(macOf(algorithm, key, "verify", data), bytesOf(signature));
    }
  }

  // What the host gives at a time, and what the platform allows.
  const MOST = 65536;

  const crypto = {
    subtle: new SubtleCrypto(),
    getRandomValues(array) {
      if (!ArrayBuffer.isView(array) || array instanceof DataView || /^Float/.test(array.constructor.name)) {
        throw new TypeError("getRandomValues fills an array of whole numbers");
      }
      if (array.byteLength > MOST) throw new DOMException(`at most ${MOST} bytes at a time`, "QuotaExceededError");
      return native.random(array);
    },
    randomUUID() {
      const bytes = native.random(new Uint8Array(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
    },
  };

  native.define(globals, { crypto, CryptoKey });
})
