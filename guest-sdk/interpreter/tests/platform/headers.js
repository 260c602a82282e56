// What the Fetch Standard says about `Headers`.
const pairs = (headers) => JSON.stringify([...headers]);
const changed = (init, change) => {
  const headers = new Headers(init);
  change(headers);
  return pairs(headers);
};

// What is checked, what comes, and what must.
export default () => run([
  ["is made of nothing", () => pairs(new Headers()), "[]"],
  ["is made of undefined", () => pairs(new Headers(undefined)), "[]"],
  ["is made of pairs", () => pairs(new Headers([["B", "1"], ["a", "2"]])), '[["a","2"],["b","1"]]'],
  ["is made of a record", () => pairs(new Headers({ "X-A": 1, b: "x" })), '[["b","x"],["x-a","1"]]'],
  ["is made of another", () => pairs(new Headers(new Headers({ a: "1" }))), '[["a","1"]]'],
  ["is made of a map", () => pairs(new Headers(new Map([["a", "1"]]))), '[["a","1"]]'],
  ["refuses null", () => threw(() => new Headers(null)), "TypeError"],
  ["refuses a number", () => threw(() => new Headers(1)), "TypeError"],
  ["refuses pairs of one", () => threw(() => new Headers([["a"]])), "TypeError"],
  ["refuses pairs of three", () => threw(() => new Headers([["a", "b", "c"]])), "TypeError"],
  ["refuses to be called", () => threw(() => Headers()), "TypeError"],
  ["combines", () => changed({}, (h) => (h.append("a", "1"), h.append("A", "2"))), '[["a","1, 2"]]'],
  ["sets", () => changed([["a", "1"], ["a", "2"]], (h) => h.set("A", "3")), '[["a","3"]]'],
  ["deletes in any letter case", () => changed({ a: "1", b: "2" }, (h) => h.delete("A")), '[["b","2"]]'],
  ["gets in any letter case", () => new Headers({ "Content-Type": "x" }).get("content-TYPE"), "x"],
  ["gets nothing", () => new Headers().get("a"), null],
  ["gets the empty value", () => new Headers({ a: "" }).get("a"), ""],
  ["combines when it gets", () => new Headers([["a", ""], ["a", "x"]]).get("a"), ", x"],
  ["has", () => [new Headers({ a: "" }).has("A"), new Headers().has("a")].join(), "true,false"],
  ["trims values", () => new Headers({ a: " \t\r\n x y\t " }).get("a"), "x y"],
  ["keeps other white space", () => new Headers({ a: "\xa0x\x0b" }).get("a"), "\xa0x\x0b"],
  ["takes bytes beyond ASCII", () => new Headers({ a: "\xe9\xff" }).get("a"), "\xe9\xff"],
  ["refuses characters beyond bytes", () => threw(() => new Headers({ a: "日" })), "TypeError"],
  ["refuses NUL in values", () => threw(() => new Headers({ a: "a\0b" })), "TypeError"],
  ["refuses line breaks in values", () => [threw(() => new Headers({ a: "a\nb" })), threw(() => new Headers({ a: "a\rb" }))].join(), "TypeError,TypeError"],
  ["refuses empty names", () => threw(() => new Headers([["", "x"]])), "TypeError"],
  ["refuses names that are no token", () => ["a b", "a:b", "a\n", "é", "(", "a\0", "日"].map((name) => threw(() => new Headers([[name, "x"]]))).join(), Array(7).fill("TypeError").join()],
  ["refuses such names everywhere", () => ["get", "has", "delete"].map((method) => threw(() => new Headers()[method]("a b"))).join(), "TypeError,TypeError,TypeError"],
  ["takes all that is a token", () => new Headers([["!#$%&'*+-.^_`|~09azAZ", "x"]]).get("!#$%&'*+-.^_`|~09AZaz"), "x"],
  ["turns values into text", () => [new Headers({ a: null }).get("a"), new Headers({ a: 1.5 }).get("a"), new Headers({ a: undefined }).get("a")].join(), "null,1.5,undefined"],
  ["iterates by name", () => pairs(new Headers([["c", "1"], ["A", "2"], ["b", "3"]])), '[["a","2"],["b","3"],["c","1"]]'],
  ["iterates cookies one by one", () => pairs(new Headers([["set-cookie", "a=1"], ["b", "x"], ["Set-Cookie", "c=2"]])), '[["b","x"],["set-cookie","a=1"],["set-cookie","c=2"]]'],
  ["gives cookies as a list", () => JSON.stringify(new Headers([["Set-Cookie", "a=1, x"], ["set-cookie", "b"]]).getSetCookie()), '["a=1, x","b"]'],
  ["gives no cookies", () => JSON.stringify(new Headers({ a: "1" }).getSetCookie()), "[]"],
  ["combines cookies when it gets", () => new Headers([["set-cookie", "a"], ["set-cookie", "b"]]).get("set-cookie"), "a, b"],
  ["gives keys and values", () => [...new Headers({ b: "2", a: "1" }).keys(), ...new Headers({ b: "2", a: "1" }).values()].join(), "a,b,1,2"],
  ["iterates forEach", () => {
    const seen = [];
    new Headers({ b: "2", a: "1" }).forEach(function (value, name, all) {
      seen.push(name + value + (all instanceof Headers) + this.x);
    }, { x: "!" });
    return seen.join();
  }, "a1true!,b2true!"],
  ["refuses forEach of nothing", () => threw(() => new Headers().forEach()), "TypeError"],
  ["iterates live", () => {
    const seen = [];
    const headers = new Headers({ a: "1", b: "2", c: "3" });
    for (const [name] of headers) {
      seen.push(name);
      headers.delete("b");
    }
    return seen.join();
  }, "a,c"],
  ["iterates by entries", () => Headers.prototype[Symbol.iterator] === Headers.prototype.entries, true],
  ["has a tag", () => Object.prototype.toString.call(new Headers()), "[object Headers]"],
  ["needs arguments", () => [threw(() => new Headers().append("a")), threw(() => new Headers().get())].join(), "TypeError,TypeError"],
]);
