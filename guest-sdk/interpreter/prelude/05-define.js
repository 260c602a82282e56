// How preludes put names into the global object, as the platform does: not enumerable, while the members of its interfaces are.
(function (native) {
  "use strict";
  native.define = (target, values) => {
    for (const name of Object.keys(values)) {
      Object.defineProperty(target, name, { value: values[name], writable: true, configurable: true, enumerable: false });
    }
  };
  native.defineInterfaces = (target, classes) => {
    for (const { prototype } of Object.values(classes)) {
      for (const name of Object.getOwnPropertyNames(prototype)) {
        if (name !== "constructor") Object.defineProperty(prototype, name, { enumerable: true });
      }
    }
    native.define(target, classes);
  };
})
