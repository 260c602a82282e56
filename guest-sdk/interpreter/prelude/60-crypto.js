// `crypto`: chance from the invocation's seed, digests, and signatures. The host does the work, and knows the keys that placeholders stand for.
(function (native, globals) {
  "use strict";
  const ALGORITHMS = { __proto__: null, "SHA-1": 0, "SHA-256": 1, "SHA-384": 2, "SHA-512": 3 };
  // The numbers of the host's schemes; those of HMAC are those of its digests.
  const PRIVATE = {
    __proto__: null,
    "RSASSA-PKCS1-V1_5": { name: "RSASSA-PKCS1-v1_5", schemes: { __proto__: null, "SHA-256": 4, "SHA-384": 5, "SHA-512": 6 } },
    "RSA-PSS": { name: "RSA-PSS", schemes: { __proto__: null, "SHA-256": 7, "SHA-384": 8, "SHA-512": 9 } },
    ECDSA: { name: "ECDSA", schemes: { __proto__: null, "SHA-256": 10 } },
    ED25519: { name: "Ed25519", schemes: 11 },
  };
  const DIGEST_BYTES = { __proto__: null, "SHA-256": 32, "SHA-384": 48, "SHA-512": 64 };
  const SEALED = /sealed:[\w-]{22}/;
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

  // A placeholder is a text, and so is PEM.
  const keyBytes = (data) => (typeof data === "string" ? native.utf8(data) : bytesOf(data).slice());
  const isSealed = (bytes) => bytes.length <= MOST && SEALED.test(native.fromUtf8(bytes));

  // The host's signature; it gives a sentence where there is none.
  function signature(scheme, key, data) {
    const made = native.sign(scheme, key, data);
    if (typeof made === "string") throw new DOMException(made, "DataError");
    return made;
  }

  // HMAC, under a key that may hold placeholders.
  native.mac = (hash, key, data) => (isSealed(key) ? signature(hash, key, data) : native.hmac(hash, key, data));

  // The keys' secrets are out of reach of the objects that stand for them.
  const secrets = new WeakMap();

  class CryptoKey {
    constructor(token, secret, type, algorithm, extractable, usages) {
      if (token !== secrets) throw new TypeError("a key comes from crypto.subtle.importKey");
      secrets.set(this, secret);
      Object.assign(this, { type, extractable, algorithm, usages });
    }
  }

  function secretOf(key, name, usage) {
    const secret = secrets.get(key);
    if (secret === undefined) throw new TypeError("the key is not a CryptoKey");
    if (key.algorithm.name.toUpperCase() !== name) throw new DOMException(`the key is for ${key.algorithm.name}`, "InvalidAccessError");
    if (!key.usages.includes(usage)) throw new DOMException(`the key may not be used to ${usage}`, "InvalidAccessError");
    return secret;
  }

  function macOf(algorithm, key, usage, data) {
    const secret = secretOf(key, "HMAC", usage);
    return native.mac(hashOf(key.algorithm.hash), secret, bytesOf(data));
  }

  // The number of what signs with a private key.
  function schemeOf(algorithm, key) {
    const { name, schemes } = PRIVATE[nameOf(algorithm)];
    if (typeof schemes === "number") return schemes;
    const hash = nameOf(name === "ECDSA" ? algorithm.hash : key.algorithm.hash);
    const scheme = schemes[hash];
    if (scheme === undefined) throw unsupported(`${name} with ${hash}`);
    const { saltLength } = algorithm;
    if (name === "RSA-PSS" && saltLength !== undefined && saltLength !== DIGEST_BYTES[hash]) throw unsupported(`a salt of ${saltLength} bytes`);
    return scheme;
  }

  // Constant in time, as a comparison of signatures has to be.
  function equal(a, b) {
    let difference = a.length ^ b.length;
    for (let i = 0; i < a.length; i++) difference |= a[i] ^ (b[i] ?? 0);
    return difference === 0;
  }

  function checkUsages(usages, allowed, what) {
    if (usages.length === 0 || usages.some((usage) => !allowed.includes(usage))) {
      throw new DOMException(`${what} is for ${allowed.join(" and ")}`, "SyntaxError");
    }
  }

  function hmacKey(keyData, algorithm, extractable, usages) {
    const hash = nameOf(algorithm.hash);
    hashOf(hash);
    checkUsages(usages, ["sign", "verify"], "an HMAC key");
    const secret = keyBytes(keyData);
    const sealed = isSealed(secret);
    // How long a sealed key is, is for nobody to know.
    const length = sealed ? {} : { length: secret.length * 8 };
    return new CryptoKey(secrets, secret, "secret", { name: "HMAC", hash: { name: hash }, ...length }, extractable && !sealed, usages);
  }

  function privateKey(keyData, algorithm, usages) {
    const known = PRIVATE[nameOf(algorithm)];
    if (known === undefined) throw unsupported(`${nameOf(algorithm)} from pkcs8`);
    const { name, schemes } = known;
    const its = { name };
    if (name === "ECDSA") {
      if (algorithm.namedCurve !== "P-256") throw unsupported(`the curve ${algorithm.namedCurve}`);
      its.namedCurve = "P-256";
    } else if (typeof schemes === "object") {
      const hash = nameOf(algorithm.hash);
      if (schemes[hash] === undefined) throw unsupported(`${name} with ${hash}`);
      its.hash = { name: hash };
    }
    checkUsages(usages, ["sign"], "a private key");
    return new CryptoKey(secrets, keyBytes(keyData), "private", its, false, usages);
  }

  class SubtleCrypto {
    async digest(algorithm, data) {
      return native.digest(hashOf(algorithm), bytesOf(data)).buffer;
    }

    async importKey(format, keyData, algorithm, extractable, usages) {
      const list = [...usages];
      if (format === "pkcs8") return privateKey(keyData, algorithm, list);
      if (format !== "raw") throw unsupported(`the key format ${format}`);
      if (nameOf(algorithm) !== "HMAC") throw unsupported(`${nameOf(algorithm)} from raw`);
      return hmacKey(keyData, algorithm, Boolean(extractable), list);
    }

    async exportKey(format, key) {
      if (format !== "raw") throw unsupported(`the key format ${format}`);
      if (!key.extractable) throw new DOMException("the key is not extractable", "InvalidAccessError");
      return secrets.get(key).slice().buffer;
    }

    async sign(algorithm, key, data) {
      const name = nameOf(algorithm);
      if (name === "HMAC") return macOf(algorithm, key, "sign", data).buffer;
      if (PRIVATE[name] === undefined) throw unsupported(name);
      const secret = secretOf(key, name, "sign");
      return signature(schemeOf(algorithm, key), secret, bytesOf(data)).buffer;
    }

    async verify(algorithm, key, signature, data) {
      if (nameOf(algorithm) !== "HMAC") throw unsupported(`verify with ${nameOf(algorithm)}`);
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
