// `structuredClone`, for everything that can be cloned here.
(function (native, globals) {
  "use strict";
  const fail = (what) => {
    throw new DOMException(`${what} could not be cloned.`, "DataCloneError");
  };
  const boxed = [Boolean, Number, String, BigInt];
  const errors = { __proto__: null, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

  function cloneError(value, seen, clone) {
    const made = Object.create((errors[value.name] ?? Error).prototype);
    const copy = new (errors[value.name] ?? Error)();
    Object.setPrototypeOf(copy, Object.getPrototypeOf(made));
    seen.set(value, copy);
    for (const key of ["message", "stack", "cause"]) {
      if (Object.hasOwn(value, key)) {
        Object.defineProperty(copy, key, { value: clone(value[key]), writable: true, configurable: true, enumerable: false });
      }
    }
    return copy;
  }

  function container(value) {
    if (Array.isArray(value)) return new Array(value.length);
    if (value instanceof Map) return new Map();
    if (value instanceof Set) return new Set();
    return {};
  }

  function cloneView(value, seen, clone) {
    const buffer = clone(value.buffer);
    const length = value instanceof DataView ? value.byteLength : value.length;
    return new value.constructor(buffer, value.byteOffset, length);
  }

  const generator = Object.getPrototypeOf(function* () {}).prototype;

  // What is more than its keys, and cannot be made again from them.
  function isBound(value) {
    const kinds = [Promise, WeakMap, WeakSet, WeakRef, Symbol, globals.URL, globals.URLSearchParams, globals.Headers, globals.TextEncoder, globals.TextDecoder];
    return kinds.some((kind) => value instanceof kind) || generator.isPrototypeOf(value);
  }

  // What has no parts that refer to anything.
  function leaf(value) {
    for (const kind of boxed) if (value instanceof kind) return Object(value.valueOf());
    if (value instanceof Date) return new Date(value.getTime());
    if (value instanceof RegExp) return new RegExp(value.source, value.flags);
    if (value instanceof ArrayBuffer) return value.slice(0);
    return undefined;
  }

  function put(copy, key, value) {
    // The name of the prototype is a key like any other here.
    if (key !== "__proto__") copy[key] = value;
    else Object.defineProperty(copy, key, { value, writable: true, enumerable: true, configurable: true });
  }

  function cloneValue(value, seen) {
    if (typeof value === "symbol" || typeof value === "function") fail(String(value));
    if (typeof value !== "object" || value === null) return value;
    if (seen.has(value)) return seen.get(value);
    const clone = (part) => cloneValue(part, seen);
    let copy = leaf(value);
    if (copy === undefined && ArrayBuffer.isView(value)) copy = cloneView(value, seen, clone);
    if (copy !== undefined) {
      seen.set(value, copy);
      return copy;
    }
    if (value instanceof Error) return cloneError(value, seen, clone);
    if (isBound(value)) fail(`#<${value.constructor.name}>`);
    copy = container(value);
    seen.set(value, copy);
    if (copy instanceof Map) for (const [key, item] of [...value]) copy.set(clone(key), clone(item));
    else if (copy instanceof Set) for (const item of [...value]) copy.add(clone(item));
    else for (const key of Object.keys(value)) put(copy, key, clone(value[key]));
    return copy;
  }

  // What is moved is there once more in the clone, and nowhere else afterwards.
  function moved(transfer, seen) {
    const buffers = [...(transfer ?? [])];
    for (const buffer of buffers) {
      if (!(buffer instanceof ArrayBuffer)) fail(typeof buffer === "object" ? "an object that is no ArrayBuffer" : String(buffer));
      if (buffer.detached || seen.has(buffer)) fail("an ArrayBuffer that was transferred before");
      seen.set(buffer, buffer.slice(0));
    }
    return buffers;
  }

  function structuredClone(value, options) {
    if (arguments.length === 0) throw new TypeError("structuredClone takes a value");
    const seen = new Map();
    const buffers = moved(options?.transfer, seen);
    const copy = cloneValue(value, seen);
    for (const buffer of buffers) buffer.transfer();
    return copy;
  }

  native.define(globals, { structuredClone });
})
