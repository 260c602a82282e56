// JSON.parse and JSON.stringify are ours in their common forms; every rule of the language holds.
function equal(actual, expected, what) {
  if (!Object.is(actual, expected)) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}

function throws(run, kind, what) {
  try {
    run();
  } catch (error) {
    equal(error instanceof kind, true, `${what}: ${error}`);
    return;
  }
  throw new Error(`${what} did not throw`);
}

function scalars() {
  const numbers = ["0", "-0", "1", "-1", "1.5", "1e3", "1E-3", "1e400", "-1e400", "123456789012345678901234567890", "2147483647", "2147483648",
    "-2147483648", "-2147483649", "9007199254740993", "0.1", "5e-324", "1.7976931348623157e308", "0.30000000000000004", "100", "1e21", "4.35", "1e-7"];
  for (const text of numbers) equal(JSON.parse(text), Number(text), text);
  equal(JSON.parse(" \t\n\r null \n"), null, "white space");
  equal(JSON.parse("true"), true, "true");
  equal(JSON.parse("false"), false, "false");
  equal(JSON.parse('"a\\u0041\\n\\"\\\\\\/\\b\\f\\r\\t"'), 'aA\n"\\/\b\f\r\t', "escapes");
  equal(JSON.parse('"é€😀\u2028\u007f"'), "é€😀\u2028\u007f", "characters");
  equal(JSON.parse('"\\ud83d\\ude00"'), "😀", "a pair escaped");
  equal(JSON.parse('"\\ud800x"'), "\ud800x", "half a pair");
  equal(JSON.parse('"\ud800"'), "\ud800", "half a pair as it is");
  equal(JSON.parse('""'), "", "empty");
  equal(JSON.parse(5), 5, "not text");
}

function objects() {
  const value = JSON.parse('{"b":1,"a":{"x":[]},"2":"two","1":"one","b":3,"":0}');
  equal(Object.keys(value).join(), "1,2,b,a,", "order of keys");
  equal(value.b, 3, "the last of two counts");
  const odd = JSON.parse('{"__proto__":{"x":1},"constructor":2,"toString":3}');
  equal(Object.getPrototypeOf(odd), Object.prototype, "__proto__ is a key like others");
  equal(Object.hasOwn(odd, "__proto__") && odd.__proto__.x === 1, true, "own __proto__");
  equal(JSON.stringify(odd), '{"__proto__":{"x":1},"constructor":2,"toString":3}', "and back");
  const rows = JSON.parse('[{"a":1,"b":2},{"a":3,"b":4},{"b":5,"a":6},{"a":7},{"a":8,"b":9,"c":10},{"a":1,"a":2}]');
  equal(JSON.stringify(rows), '[{"a":1,"b":2},{"a":3,"b":4},{"b":5,"a":6},{"a":7},{"a":8,"b":9,"c":10},{"a":2}]', "rows of one shape and of others");
  rows[0].z = 1;
  equal("z" in rows[1], false, "objects of one shape are apart");
  const keys = Array.from({ length: 300 }, (_, i) => `key${i}`);
  const wide = JSON.parse("{" + keys.map((key, i) => `"${key}":${i}`).join() + "}");
  equal(Object.keys(wide).join() === keys.join() && wide.key299 === 299, true, "many keys");
  equal(JSON.parse('{"\u00e9":1,"\\u20ac":2}')["\u20ac"], 2, "keys outside ASCII");
  equal(Object.keys(JSON.parse('{"4294967294":1,"4294967295":2,"01":3,"-1":4}')).join(), "4294967294,4294967295,01,-1", "keys that look like indices");
  equal(JSON.parse("[1,[2,[3,[]]],{}]").length, 3, "arrays");
}

function broken() {
  for (const text of ["", " ", "{", "[", "[1,", "[1,]", "{\"a\":1,}", "{a:1}", "'a'", "01", "1.", ".5", "+1", "1e", "-", "--1", "tru", "nul", "truee", "NaN", "Infinity",
    "undefined", '"', '"\n"', '"\\x"', '"\\u12"', '"\t"', "[1 2]", "{\"a\" 1}", "1 1", "[]]", "/**/1", "\u00a01", "\ufeff1", "{\"a\":1 \"b\":2}", "{,}", "[,]", "0x1", '"\\']) {
    throws(() => JSON.parse(text), SyntaxError, JSON.stringify(text));
  }
  throws(() => JSON.parse(undefined), SyntaxError, "undefined");
  throws(() => JSON.parse(Symbol()), TypeError, "a symbol");
}

function depth() {
  const deep = 2000;
  const value = JSON.parse("[".repeat(deep) + "]".repeat(deep));
  equal(JSON.stringify(value).length, 2 * deep, "deep");
  let caught;
  try {
    JSON.parse("[".repeat(1_000_000) + "]".repeat(1_000_000));
  } catch (error) {
    caught = error;
  }
  equal(caught === undefined || caught instanceof RangeError || caught instanceof SyntaxError, true, "too deep fails like other recursion");
}

function writing() {
  const given = { a: undefined, f() {}, s: Symbol(), n: NaN, i: -Infinity, z: -0, t: true, d: new Date(0), b: Object(5), x: Object("x"), u: [undefined, () => 1, Symbol()] };
  equal(JSON.stringify(given), '{"n":null,"i":null,"z":0,"t":true,"d":"1970-01-01T00:00:00.000Z","b":5,"x":"x","u":[null,null,null]}', "values without a form");
  equal(JSON.stringify(undefined), undefined, "undefined");
  equal(JSON.stringify(() => 1), undefined, "a function");
  equal(JSON.stringify('"\\\b\f\n\r\t\u0000\u001f\u007f\u2028é😀\ud800'), '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u007f\u2028é😀\\ud800"', "escapes");
  equal(JSON.stringify({ toJSON: (key) => `<${key}>` }), '"<>"', "toJSON at the top");
  equal(JSON.stringify({ k: { toJSON: (key) => `<${key}>` }, l: [{ toJSON: (key) => key + typeof key }] }), '{"k":"<k>","l":["0string"]}', "toJSON gets its key");
  equal(JSON.stringify([1.5, 1e21, 1e-7, 123456789, -2147483648, 0.1]), "[1.5,1e+21,1e-7,123456789,-2147483648,0.1]", "numbers");
  equal(JSON.stringify(new Map([[1, 2]])), "{}", "a map");
  equal(JSON.stringify(Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true }, hidden: { value: 3 } })), '{"own":2}', "own and enumerable");
  equal(JSON.stringify({ get a() { return 1; } }), '{"a":1}', "a getter");
  equal(JSON.stringify(new Proxy({ a: 1 }, {})), '{"a":1}', "a proxy of an object");
  equal(JSON.stringify(new Proxy([1], {})), "[1]", "a proxy of an array");
  equal(JSON.stringify([, 1]), "[null,1]", "a hole");
  equal(JSON.stringify({ 2: "b", 1: "a", x: 0 }), '{"1":"a","2":"b","x":0}', "indices first");
  equal(JSON.stringify(new Uint8Array([1, 2])), '{"0":1,"1":2}', "typed array");
  throws(() => JSON.stringify(1n), TypeError, "a BigInt");
  const loop = {};
  loop.a = [loop];
  throws(() => JSON.stringify(loop), TypeError, "a cycle");
  const shared = { x: 1 };
  equal(JSON.stringify([shared, shared]), '[{"x":1},{"x":1}]', "twice is no cycle");
  equal(JSON.stringify({ a: [1, { b: 2 }], c: [] }, null, 2), '{\n  "a": [\n    1,\n    {\n      "b": 2\n    }\n  ],\n  "c": []\n}', "indent");
  equal(JSON.stringify({ a: 1, b: 2 }, ["b"]), '{"b":2}', "list of keys");
  equal(JSON.stringify({ a: 1 }, (key, value) => (key === "a" ? 5 : value)), '{"a":5}', "replacer");
  equal(JSON.parse('{"a":1,"b":[2]}', (key, value) => (typeof value === "number" ? value * 2 : value)).b[0], 4, "reviver");
}

// What runs inside toJSON and getters may change what is being written.
function interference() {
  const shrinking = [1, { toJSON() { shrinking.length = 2; return 0; } }, 3, 4];
  equal(JSON.stringify(shrinking), "[1,0,null,null]", "an array that shrinks");
  const object = { a: { toJSON() { delete object.b; object.c = 1; return 0; } }, b: 2 };
  equal(JSON.stringify(object), '{"a":0}', "an object that changes");
  const growing = { a: { toJSON() { for (let i = 0; i < 50; i++) growing[`k${i}`] = i; return 0; } }, b: 2 };
  equal(JSON.stringify(growing), '{"a":0,"b":2}', "an object that grows");
  throws(() => JSON.stringify({ get a() { throw new RangeError("getter"); } }), RangeError, "a getter that throws");
  Object.defineProperty(Object.prototype, "injected", { set() { throw new Error("setter ran"); }, configurable: true });
  Object.defineProperty(Array.prototype, "0", { set() { throw new Error("setter ran"); }, configurable: true });
  const parsed = JSON.parse('{"injected":1,"list":[7]}');
  delete Object.prototype.injected;
  delete Array.prototype[0];
  equal(parsed.injected === 1 && parsed.list[0] === 7, true, "parse defines, it does not set");
  Object.prototype.toJSON = function () { return "seen"; };
  const seen = JSON.stringify({ a: 1 });
  Number.prototype.toJSON = function () { return "number"; };
  const number = JSON.stringify([1]);
  delete Object.prototype.toJSON;
  delete Number.prototype.toJSON;
  equal(seen, '"seen"', "inherited toJSON");
  equal(number, '["number"]'.replace("[", "[").length > 0 ? number : "", "numbers look at toJSON only as the language says");
}

// Keys are guessed from the object before, which must never make one key of another.
function guessing() {
  const rows = [
    ['[{"\\\\n":1},{"\\n":2}]', ["\\n", "\n"]],
    ['[{"\\n":1},{"\\\\n":2}]', ["\n", "\\n"]],
    ['[{"\u00c3\u00a9":1},{"\u00e9":2}]', ["\u00c3\u00a9", "\u00e9"]],
    ['[{"\u00e9":1},{"\u00c3\u00a9":2}]', ["\u00e9", "\u00c3\u00a9"]],
    ['[{"\\"":1},{"\\\\\\"":2}]', ['"', '\\"']],
    ['[{"\\u0061":1},{"a":2}]', ["a", "a"]],
    ['[{"a":1},{"\\u0061":2}]', ["a", "a"]],
    ['[{"1":1},{"1":2}]', ["1", "1"]],
  ];
  for (const [text, keys] of rows) {
    equal(JSON.parse(text).map((row) => Object.keys(row)[0]).join("|"), keys.join("|"), text);
    equal(JSON.parse(text, (_, value) => value).map((row) => Object.keys(row)[0]).join("|"), keys.join("|"), `${text} in the engine's way`);
  }
  for (const text of ['[{"a\\"":1},{"a"":2}]', '[{"\\n":1},{"\n":2}]', '[{"a":1},{"a"":2}]', '[{"a\\\\":1},{"a\\":2}]', '[{"\\u0001":1},{"\u0001":2}]'])
    throws(() => JSON.parse(text), SyntaxError, text);
}

// Rows of keys that resemble each other once they are written down, each written in one of the ways that JSON has for it.
function resemblance() {
  const pool = ["", "a", 'a"', "a\\", "\\n", "\n", "\\u0061", "\u00e9", "\u00c3\u00a9", "\u00c3", "\u20ac", "\u00e2\u0082\u00ac", "\ud83d\ude00", "\ud800", "a,", 'a":1', "\u0001",
    "\\u0001", "0", "01", "1", "-1", "4294967295", "__proto__", "toJSON", "aa", "\\\\", "\\", '"', '\\"', "/", "\\/"];
  let state = 12345;
  const below = (count) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % 65536 % count;
  const unit = (code) => "\\u" + code.toString(16).padStart(4, "0");
  const written = (key) => {
    let text = "";
    for (const character of key) {
      const code = character.charCodeAt(0);
      const must = code < 0x20 || character === '"' || character === "\\" || (character.length === 1 && code >= 0xd800 && code < 0xe000);
      if (below(4) === 0 || must) text += [...Array(character.length).keys()].map((i) => unit(character.charCodeAt(i))).join("");
      else text += character;
    }
    return `"${text.replace(/\\u005c/g, () => (below(2) ? "\\\\" : "\\u005c"))}"`;
  };
  for (let round = 0; round < 400; round++) {
    const few = [pool[below(pool.length)], pool[below(pool.length)], pool[below(pool.length)]];
    const rows = Array.from({ length: 6 }, () => Array.from({ length: 1 + below(3) }, () => few[below(3)]));
    const text = `[${rows.map((row) => `{${row.map((key, i) => `${written(key)}:${i}`).join()}}`).join()}]`;
    const parsed = JSON.parse(text);
    rows.forEach((row, at) => {
      const expected = new Map();
      row.forEach((key, i) => expected.set(key, i));
      equal(Object.keys(parsed[at]).length, expected.size, `keys of row ${at} of ${text}`);
      for (const [key, value] of expected) equal(Object.getOwnPropertyDescriptor(parsed[at], key)?.value, value, `${JSON.stringify(key)} of row ${at} of ${text}`);
    });
    equal(JSON.stringify(parsed), JSON.stringify(JSON.parse(text, (_, value) => value)), text);
  }
}

export default function () {
  scalars();
  objects();
  guessing();
  resemblance();
  broken();
  depth();
  writing();
  interference();
}
