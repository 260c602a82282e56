// What HTML says about `structuredClone`, for what there is here.
const tag = (value) => Object.prototype.toString.call(value);
const show = (value) => (Object.is(value, -0) ? "-0" : typeof value === "bigint" ? value + "n" : String(value));
const PRIMITIVES = [undefined, null, true, false, 0, -0, 1.5, NaN, Infinity, -Infinity, 9007199254740993n, -1n, "", "text", "\0", "\ud800", "😀"];
const BOXED = [new Boolean(false), new Number(-0), new String("x\0"), Object(5n), new Date(12.5), new Date(NaN), new Date(-1e12)];

// What is checked, what comes, and what must.
export default () => run([
  ...PRIMITIVES.map((value) => [`clones ${typeof value} ${show(value)}`, () => Object.is(structuredClone(value), value), true]),
  ...PRIMITIVES.map((value) => [`clones ${show(value)} within`, () => Object.is(structuredClone([{ a: value }])[0].a, value), true]),
  ...BOXED.map((value) => [`clones ${tag(value)} ${show(value.valueOf())}`, () => {
    const copy = structuredClone(value);
    return copy !== value && tag(copy) === tag(value) && Object.is(copy.valueOf(), value.valueOf());
  }, true]),
  ["clones expressions", () => {
    const given = /a(b)?/giu;
    given.lastIndex = 3;
    const copy = structuredClone(given);
    return [copy.source, copy.flags, copy.lastIndex, copy instanceof RegExp].join();
  }, "a(b)?,giu,0,true"],
  ["clones objects", () => JSON.stringify(structuredClone({ a: 1, b: { c: [null, "x"] } })), '{"a":1,"b":{"c":[null,"x"]}}'],
  ["clones keys in order", () => Object.keys(structuredClone({ b: 1, a: 2, 1: 3 })).join(), "1,b,a"],
  ["clones own enumerable keys only", () => {
    const given = Object.create({ inherited: 1 }, { hidden: { value: 1 }, shown: { value: 2, enumerable: true } });
    return JSON.stringify([Object.keys(structuredClone(given)), structuredClone(given).inherited]);
  }, '[["shown"],null]'],
  ["leaves symbols out", () => Object.getOwnPropertySymbols(structuredClone({ [Symbol("a")]: 1 })).length, 0],
  ["reads getters", () => JSON.stringify(Object.getOwnPropertyDescriptor(structuredClone({ get a() { return 1; } }), "a")), '{"value":1,"writable":true,"enumerable":true,"configurable":true}'],
  ["lets getters throw", () => threw(() => structuredClone({ get a() { throw new RangeError("x"); } })), "RangeError"],
  ["forgets prototypes", () => {
    class A { constructor() { this.x = 1; } }
    const copy = structuredClone(new A());
    return [Object.getPrototypeOf(copy) === Object.prototype, copy.x].join();
  }, "true,1"],
  ["clones `__proto__` as a key", () => {
    const copy = structuredClone(JSON.parse('{"__proto__": {"x": 1}}'));
    return [Object.hasOwn(copy, "__proto__"), Object.getPrototypeOf(copy) === Object.prototype].join();
  }, "true,true"],
  ["clones sparse lists", () => {
    const given = [1, , 3];
    given.length = 5;
    const copy = structuredClone(given);
    return [copy.length, 1 in copy, copy[2], Array.isArray(copy)].join();
  }, "5,false,3,true"],
  ["clones keys of lists", () => structuredClone(Object.assign([1], { a: 2 })).a, 2],
  ["clones maps", () => JSON.stringify([...structuredClone(new Map([[{ a: 1 }, new Set([1])], ["b", 2]]))].map(([key, value]) => [key, value instanceof Set ? [...value] : value])), '[[{"a":1},[1]],["b",2]]'],
  ["clones sets in order", () => JSON.stringify([...structuredClone(new Set(["b", { a: 1 }, "a"]))]), '["b",{"a":1},"a"]'],
  ["clones maps that hold themselves", () => {
    const given = new Map();
    given.set(given, given);
    const copy = structuredClone(given);
    return copy !== given && copy.get(copy) === copy;
  }, true],
  ["clones circles", () => {
    const given = { list: [] };
    given.self = given;
    given.list.push(given);
    const copy = structuredClone(given);
    return [copy !== given, copy.self === copy, copy.list[0] === copy].join();
  }, "true,true,true"],
  ["keeps what is the same the same", () => {
    const part = {};
    const copy = structuredClone([part, part]);
    return copy[0] === copy[1] && copy[0] !== part;
  }, true],
  ["clones buffers", () => {
    const given = new Uint8Array([1, 2, 3]).buffer;
    const copy = structuredClone(given);
    new Uint8Array(copy)[0] = 9;
    return [new Uint8Array(given)[0], copy.byteLength, copy instanceof ArrayBuffer].join();
  }, "1,3,true"],
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array].map((View) => [`clones ${View.name}`, () => {
    const given = new View(new ArrayBuffer(32), 8, 2);
    given[1] = View.name.startsWith("Big") ? 7n : 7;
    const copy = structuredClone(given);
    return copy.constructor === View && copy.byteOffset === 8 && copy.length === 2 && copy.buffer !== given.buffer && copy.buffer.byteLength === 32 && copy[1] === given[1];
  }, true]),
  ["clones DataView", () => {
    const copy = structuredClone(new DataView(new ArrayBuffer(8), 2, 4));
    return [copy instanceof DataView, copy.byteOffset, copy.byteLength, copy.buffer.byteLength].join();
  }, "true,2,4,8"],
  ["lets views share their buffer", () => {
    const buffer = new ArrayBuffer(4);
    const [first, second] = structuredClone([new Uint8Array(buffer), new Uint16Array(buffer)]);
    return first.buffer === second.buffer;
  }, true],
  ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((Kind) => [`clones ${Kind.name}`, () => {
    const copy = structuredClone(new Kind("m", { cause: { a: 1 } }));
    return [Object.getPrototypeOf(copy) === Kind.prototype, copy.message, copy.name, typeof copy.stack, tag(copy)].join();
  }, `true,m,${Kind.name},string,[object Error]`]),
  ["clones errors of other names as Error", () => {
    class Mine extends Error {}
    const given = new Mine("m");
    given.name = "Mine";
    const copy = structuredClone(given);
    return [Object.getPrototypeOf(copy) === Error.prototype, copy.name].join();
  }, "true,Error"],
  ["leaves other keys of errors out", () => structuredClone(Object.assign(new Error("m"), { extra: 1 })).extra, undefined],
  ["refuses functions", () => threw(() => structuredClone(() => 1)), "DataCloneError"],
  ["refuses functions within", () => threw(() => structuredClone({ a: [() => 1] })), "DataCloneError"],
  ["refuses symbols", () => [threw(() => structuredClone(Symbol("x"))), threw(() => structuredClone(Object(Symbol("x"))))].join(), "DataCloneError,DataCloneError"],
  ["refuses what has no data", () => [new WeakMap(), new WeakSet(), new WeakRef({}), Promise.resolve()].map((value) => threw(() => structuredClone(value))).join(), Array(4).fill("DataCloneError").join()],
  ["refuses a platform's objects", () => [new URL("http://a"), new URLSearchParams(), new Headers(), new TextDecoder()].map((value) => threw(() => structuredClone(value))).join(), Array(4).fill("DataCloneError").join()],
  ["refuses generators", () => threw(() => structuredClone((function* () {})())), "DataCloneError"],
  ["needs a value", () => threw(() => structuredClone()), "TypeError"],
  ["takes empty options", () => [structuredClone(1, {}), structuredClone(1, undefined), structuredClone(1, { transfer: [] })].join(), "1,1,1"],
  ["transfers buffers", () => {
    const given = new ArrayBuffer(4);
    const copy = structuredClone(given, { transfer: [given] });
    return [copy.byteLength, given.byteLength].join();
  }, "4,0"],
  ["clones from deep within", () => {
    let given = {};
    const top = given;
    for (let i = 0; i < 200; i++) given = given.next = {};
    let depth = 0;
    for (let at = structuredClone(top); at.next; at = at.next) depth++;
    return depth;
  }, 200],
]);
