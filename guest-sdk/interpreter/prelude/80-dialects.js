// What the dialects share. The objects that their scripts are given are made here once, before the snapshot, so that an invocation makes only what
// its script asks for.
(function (native) {
  "use strict";
  const quote = JSON.stringify;
  const UNREAD = Symbol("unread");

  // What an invocation writes lies together, since each page that it touches costs time when it ends: what was read so far, by its place, and what
  // the hook was given. More places than there are now are found behind these.
  const values = Array.from({ length: 64 }, () => UNREAD);
  native.now = { given: undefined, context: undefined, body: undefined, meta: undefined, headers: undefined, parameters: undefined, states: undefined };
  let places = 0;

  // An object whose values are made when they are first read, and may be set. `seen` tells whether one was.
  native.late = (makers) => {
    const object = {};
    const placeOf = {};
    for (const name of Object.keys(makers)) {
      const place = places++;
      const make = makers[name];
      values[place] = UNREAD;
      placeOf[name] = place;
      Object.defineProperty(object, name, {
        get: () => (values[place] === UNREAD ? (values[place] = make()) : values[place]),
        set: (value) => {
          values[place] = value;
        },
        enumerable: true,
        configurable: true,
      });
    }
    return { object, seen: (name) => values[placeOf[name]] !== UNREAD };
  };

  // Goes on with a value, or with what a promise of it gives.
  native.after = (value, next) =>
    typeof value === "object" && value !== null && typeof value.then === "function" ? Promise.resolve(value).then(next) : next(value);

  native.kindOf = (value) => {
    if (Array.isArray(value)) return "an array";
    if (typeof value === "function") return "a function";
    if (typeof value === "string") return quote(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    return typeof value === "object" && value !== null ? "an object" : String(value);
  };

  // An object that is no list, or a fault that says what it has to be.
  native.objectOf = (value, wanted) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) native.contract(`${wanted}, not ${native.kindOf(value)}`);
    return value;
  };

  // Headers as an object under names in small letters, which answers to names in any letter case.
  const lower = (name) => (typeof name === "string" ? name.toLowerCase() : name);
  const known = (target, name) => (Reflect.has(target, name) ? name : lower(name));
  const anyCase = {
    get: (target, name) => Reflect.get(target, known(target, name)),
    has: (target, name) => Reflect.has(target, known(target, name)),
    set: (target, name, value) => Reflect.set(target, lower(name), value),
    defineProperty: (target, name, descriptor) => Reflect.defineProperty(target, lower(name), descriptor),
    deleteProperty: (target, name) => Reflect.deleteProperty(target, lower(name)),
    getOwnPropertyDescriptor: (target, name) => Reflect.getOwnPropertyDescriptor(target, lower(name)),
  };
  native.plainHeaders = (headers) => {
    const plain = {};
    for (const [name, value] of headers) plain[name] = Object.hasOwn(plain, name) ? `${plain[name]}, ${value}` : value;
    return plain;
  };
  native.anyCase = (plain) => new Proxy(plain, anyCase);

  // CommonJS: a source is the body of a function, and what it puts into `module.exports` is the entry.
  native.commonJs = "(function (exports, require, module) {";
  const require = (name) => {
    throw new Error(`cannot require ${quote(String(name))}: a script is one file and has no packages; bundle what it needs into it`);
  };
  native.commonJsEntry = (run) => {
    const module = { exports: {} };
    const rest = run().call(module.exports, module.exports, require, module);
    const { exports } = module;
    const candidates = [exports, exports?.handle, exports?.default, rest];
    return candidates.find((candidate) => typeof candidate === "function");
  };
})
