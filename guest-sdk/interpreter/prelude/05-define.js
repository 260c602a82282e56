// How preludes put names into the global object: as the platform does, not enumerable.
(function (native) {
  "use strict";
  native.define = (target, values) => {
    for (const name of Object.keys(values)) {
      Object.defineProperty(target, name, { value: values[name], writable: true, configurable: true, enumerable: false });
    }
  };
})
