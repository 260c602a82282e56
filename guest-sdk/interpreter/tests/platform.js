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
  chance();
  absent();
}
