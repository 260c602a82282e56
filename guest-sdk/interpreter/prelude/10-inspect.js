// How values look in the log: text as it is, everything else much like JSON.
(function (native) {
  "use strict";
  // Deeper values and longer lists are cut: a log is read by people.
  const DEPTH = 6;
  const ITEMS = 100;

  const quote = (text) => JSON.stringify(text);

  function list(values, open, close, show) {
    const shown = values.slice(0, ITEMS).map(show);
    if (values.length > ITEMS) shown.push(`… ${values.length - ITEMS} more`);
    return open + shown.join(",") + close;
  }

  function error(value) {
    const head = `${value.name}: ${value.message}`;
    const stack = typeof value.stack === "string" && value.stack !== "" ? "\n" + value.stack.trimEnd() : "";
    return head + stack;
  }

  function object(value, seen) {
    if (seen.includes(value)) return "[Circular]";
    if (seen.length >= DEPTH) return Array.isArray(value) ? "[Array]" : "[Object]";
    const inner = [...seen, value];
    const show = (one) => inspect(one, inner);
    if (Array.isArray(value)) return list(value, "[", "]", show);
    if (value instanceof Error) return error(value);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : quote(value.toISOString());
    if (value instanceof RegExp) return String(value);
    if (value instanceof Map) return list([...value], "Map{", "}", ([key, item]) => `${show(key)}=>${show(item)}`);
    if (value instanceof Set) return list([...value], "Set{", "}", show);
    if (value instanceof Promise) return "[Promise]";
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return list(Array.from(value), `${value.constructor.name}[`, "]", show);
    if (value instanceof ArrayBuffer) return `ArrayBuffer(${value.byteLength})`;
    if (value instanceof Headers) return list([...value], "{", "}", ([name, text]) => `${quote(name)}:${quote(text)}`);
    if (typeof value.toJSON === "function") return show(value.toJSON());
    return list(Object.keys(value), "{", "}", (key) => `${quote(key)}:${show(value[key])}`);
  }

  function inspect(value, seen = []) {
    switch (typeof value) {
      case "string":
        return quote(value);
      case "bigint":
        return `${value}n`;
      case "function":
        return value.name === "" ? "[Function]" : `[Function ${value.name}]`;
      case "object":
        return value === null ? "null" : object(value, seen);
      default:
        return String(value);
    }
  }

  // %s, %d, %i, %f, %j, %o and %O of the console; %c takes a style and shows nothing.
  function format(template, values) {
    return template.replace(/%[sdifjoOc%]/g, (mark) => {
      if (mark === "%%") return "%";
      if (values.length === 0) return mark;
      const value = values.shift();
      if (mark === "%c") return "";
      if (mark === "%s") return typeof value === "object" ? inspect(value) : String(value);
      if (mark === "%d" || mark === "%f") return String(Number(value));
      return mark === "%i" ? String(Math.trunc(Number(value))) : inspect(value);
    });
  }

  native.setInspect(function (...values) {
    if (values.length > 1 && typeof values[0] === "string" && values[0].includes("%")) {
      const first = format(values.shift(), values);
      values.unshift(first);
    }
    return values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ");
  });
})
