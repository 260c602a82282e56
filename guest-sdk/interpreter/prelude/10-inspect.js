// How values look in the log: text as it is, everything else much like JSON.
(function (native) {
  "use strict";
  native.setInspect(function (...values) {
    return values.map((value) => (typeof value === "string" ? value : JSON.stringify(value) ?? String(value))).join(" ");
  });
})
