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

  // What has no parts that refer to anything.
  function leaf(value) {
    for (const kind of boxed) if (value instanceof kind) return Object(value.valueOf());
    if (value instanceof Date) return new Date(value.getTime());
    if (value instanceof RegExp) return new RegExp(value.source, value.flags);
    if (value instanceof ArrayBuffer) return value.slice(0);
    return undefined;
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
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) fail(`#<${value.constructor.name}>`);
    copy = container(value);
    seen.set(value, copy);
    if (copy instanceof Map) for (const [key, item] of [...value]) copy.set(clone(key), clone(item));
    else if (copy instanceof Set) for (const item of [...value]) copy.add(clone(item));
    else for (const key of Object.keys(value)) copy[key] = clone(value[key]);
    return copy;
  }

  function structuredClone(value, options) {
    if (arguments.length === 0) throw new TypeError("structuredClone takes a value");
    if (options?.transfer?.length > 0) throw new DOMException("nothing can be transferred here", "DataCloneError");
    return cloneValue(value, new Map());
  }

  native.define(globals, { structuredClone });
})
