// structuredClone.
function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}

function throws(value, what) {
  try {
    structuredClone(value);
  } catch (error) {
    equal(error.name, "DataCloneError", what);
    return;
  }
  throw new Error(`${what} did not throw`);
}

function values() {
  const given = { a: [1, , "x", null, undefined, 10n, -0], date: new Date(5), map: new Map([[{ k: 1 }, new Set([1])]]), pattern: /x/gi };
  const copy = structuredClone(given);
  equal(copy !== given && copy.a !== given.a, true, "copies");
  equal(copy.a.length, 7, "length");
  equal(1 in copy.a, false, "holes stay");
  equal("4" in copy.a && copy.a[4] === undefined, true, "undefined stays");
  equal(copy.a[5], 10n, "BigInt");
  equal(Object.is(copy.a[6], -0), true, "minus zero");
  equal(copy.date.getTime(), 5, "date");
  equal([...copy.map][0][0].k, 1, "map's key");
  equal([...copy.map][0][1].has(1), true, "set");
  equal(String(copy.pattern), "/x/gi", "pattern");
  equal(Object.getPrototypeOf(structuredClone(new (class Point {})())), Object.prototype, "classes are not kept");
}

function references() {
  const given = { name: "loop" };
  given.self = given;
  given.list = [given, given];
  const copy = structuredClone(given);
  equal(copy.self === copy && copy.list[0] === copy && copy.list[1] === copy, true, "cycles and shared parts");
}

function bytes() {
  const given = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
  const copy = structuredClone({ one: given, same: given.buffer });
  equal(copy.one.join(), "2,3", "view");
  equal(copy.one.buffer === copy.same && copy.same !== given.buffer, true, "one buffer for both");
  equal(structuredClone(new DataView(new ArrayBuffer(2))).byteLength, 2, "DataView");
}

function errors() {
  const given = new RangeError("far", { cause: { a: 1 } });
  const copy = structuredClone(given);
  equal(copy instanceof RangeError && copy.message === "far" && copy.cause.a === 1 && copy.cause !== given.cause, true, "error");
}

export default function () {
  values();
  references();
  bytes();
  errors();
  throws(() => 1, "a function");
  throws({ a: Symbol("s") }, "a symbol inside");
  throws(Promise.resolve(), "a promise");
}
