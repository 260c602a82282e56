// The other globals: timers in virtual time, promises, crypto, console, chance and clock.
function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}

async function rejects(promise, name, what) {
  try {
    await promise;
  } catch (error) {
    equal(error.name, name, what);
    return;
  }
  throw new Error(`${what} did not reject`);
}

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function timers() {
  const start = Date.now();
  const seen = [];
  setTimeout((...values) => seen.push(values.join("")), 30, "c", 3);
  setTimeout(() => seen.push("a"), 10);
  setTimeout(() => seen.push("b"), 10);
  const gone = setTimeout(() => seen.push("never"), 5);
  clearTimeout(gone);
  clearTimeout(undefined);
  queueMicrotask(() => seen.push("first"));
  await sleep(50);
  equal(seen.join(), "first,a,b,c3", "order");
  equal(Date.now() - start, 50, "the clock moves with the timers");
}

async function digests() {
  const data = new TextEncoder().encode("abc");
  equal(hex(await crypto.subtle.digest("SHA-256", data)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256");
  equal(hex(await crypto.subtle.digest({ name: "sha-1" }, data.buffer)), "a9993e364706816aba3e25717850c26c9cd0d89d", "SHA-1");
  await rejects(crypto.subtle.digest("MD5", data), "NotSupportedError", "MD5");
}

async function signatures() {
  const encode = (text) => new TextEncoder().encode(text);
  const key = await crypto.subtle.importKey("raw", encode("key"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  const signature = await crypto.subtle.sign("HMAC", key, encode("The quick brown fox jumps over the lazy dog"));
  equal(hex(signature), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8", "HMAC");
  equal(await crypto.subtle.verify("HMAC", key, signature, encode("The quick brown fox jumps over the lazy dog")), true, "verify");
  equal(await crypto.subtle.verify("HMAC", key, signature, encode("other")), false, "another text");
  const weak = await crypto.subtle.importKey("raw", encode("key"), { name: "HMAC", hash: { name: "SHA-256" } }, false, ["verify"]);
  await rejects(crypto.subtle.sign("HMAC", weak, encode("x")), "InvalidAccessError", "a key that may not sign");
}

// Nobody signs in these tests, so what is asked of the host comes back as its sentence.
async function keysOfOthers() {
  const { subtle } = crypto;
  const encode = (text) => new TextEncoder().encode(text);
  const sealed = `sealed:${"a".repeat(22)}`;
  for (const material of [sealed, encode(sealed), encode(`AWS4${sealed}`)]) {
    const key = await subtle.importKey("raw", material, { name: "HMAC", hash: "SHA-256" }, true, ["sign", "verify"]);
    equal(key.extractable, false, "a sealed key is not extractable");
    equal("length" in key.algorithm, false, "nor does anybody know its length");
    await rejects(subtle.sign("HMAC", key, encode("x")), "DataError", "a sealed key");
    await rejects(subtle.verify("HMAC", key, encode("x"), encode("x")), "DataError", "a sealed key that checks");
    await rejects(subtle.exportKey("raw", key), "InvalidAccessError", "exporting it");
  }
  const text = await subtle.importKey("raw", "key", { name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
  equal(hex(await subtle.exportKey("raw", text)), "6b6579", "a key that is text");
  const kinds = [
    [{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, "RSASSA-PKCS1-v1_5"],
    [{ name: "RSA-PSS", hash: { name: "SHA-512" } }, { name: "RSA-PSS", saltLength: 64 }],
    [{ name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-256" }],
    ["Ed25519", "Ed25519"],
  ];
  for (const [algorithm, signing] of kinds) {
    const key = await subtle.importKey("pkcs8", sealed, algorithm, false, ["sign"]);
    equal([key.type, key.extractable].join(), "private,false", "a private key");
    await rejects(subtle.sign(signing, key, encode("x")), "DataError", "a private key of others");
    await rejects(subtle.sign("HMAC", key, encode("x")), "InvalidAccessError", "a key for something else");
    await rejects(subtle.importKey("pkcs8", sealed, algorithm, false, ["verify"]), "SyntaxError", "a private key checks nothing");
  }
  const pss = await subtle.importKey("pkcs8", sealed, { name: "RSA-PSS", hash: "SHA-256" }, false, ["sign"]);
  await rejects(subtle.sign({ name: "RSA-PSS", saltLength: 20 }, pss, encode("x")), "NotSupportedError", "another salt");
  await rejects(subtle.importKey("pkcs8", sealed, { name: "RSA-PSS", hash: "SHA-1" }, false, ["sign"]), "NotSupportedError", "SHA-1");
  await rejects(subtle.importKey("pkcs8", sealed, { name: "ECDSA", namedCurve: "P-521" }, false, ["sign"]), "NotSupportedError", "P-521");
  await rejects(subtle.importKey("spki", sealed, "Ed25519", false, ["verify"]), "NotSupportedError", "spki");
}

function chance() {
  const array = crypto.getRandomValues(new Uint32Array(4));
  equal(array instanceof Uint32Array, true, "the same array");
  equal(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()), true, "randomUUID");
  const number = Math.random();
  equal(number >= 0 && number < 1, true, "Math.random");
  equal(new Date().getTime(), Date.now(), "one clock");
}

function absent() {
  for (const name of ["process", "require", "performance", "WebAssembly", "SharedArrayBuffer", "window", "std", "os", "setInterval"]) {
    equal(name in globalThis && name !== "SharedArrayBuffer", false, name);
  }
}

export default async function () {
  await timers();
  await digests();
  await signatures();
  await keysOfOthers();
  chance();
  absent();
}
