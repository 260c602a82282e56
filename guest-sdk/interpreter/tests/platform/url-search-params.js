// What the URL Standard says about `URLSearchParams`.
const text = (init) => new URLSearchParams(init).toString();
const pairs = (init) => JSON.stringify([...new URLSearchParams(init)]);
const list = (init, change) => {
  const parameters = new URLSearchParams(init);
  change(parameters);
  return parameters.toString();
};

// What is checked, what comes, and what must.
export default () => run([
  ["parses `test`", () => pairs("test"), '[["test",""]]'],
  ["parses a mark of order", () => pairs("\ufefftest=\ufeff"), '[["\ufefftest","\ufeff"]]'],
  ["parses its bytes", () => pairs("%EF%BB%BFtest=%EF%BB%BF"), '[["\ufefftest","\ufeff"]]'],
  ["parses bytes that are no UTF-8", () => pairs("%FE%FF"), '[["\ufffd\ufffd",""]]'],
  ["parses an escaped dagger", () => pairs("†&†=x"), '[["†",""],["†","x"]]'],
  ["parses half an escape", () => pairs("%C2&%=%a&%fz=%"), '[["\ufffd",""],["%","%a"],["%fz","%"]]'],
  ["parses empty parts", () => pairs("&a&&b=&=c&="), '[["a",""],["b",""],["","c"],["",""]]'],
  ["parses several equal signs", () => pairs("a==b=c"), '[["a","=b=c"]]'],
  ["parses plus signs", () => pairs("a+b=c+d&%2B=%2b"), '[["a b","c d"],["+","+"]]'],
  ["parses NUL", () => pairs("a\0b=%00"), '[["a\\u0000b","\\u0000"]]'],
  ["parses one question mark", () => pairs("??a=1"), '[["?a","1"]]'],
  ["parses what is no text", () => [text(null), text(undefined), text(5), text(true)].join(), "null=,,5=,true="],
  ["takes pairs", () => pairs([["a", 1], ["b", null], ["a", undefined]]), '[["a","1"],["b","null"],["a","undefined"]]'],
  ["takes another", () => pairs(new URLSearchParams("a=b&c")), '[["a","b"],["c",""]]'],
  ["takes a map", () => pairs(new Map([["a", "b"]])), '[["a","b"]]'],
  ["takes a record", () => pairs({ z: 1, a: { toString: () => "x" } }), '[["z","1"],["a","x"]]'],
  ["takes a record without prototype", () => pairs(Object.assign(Object.create(null), { a: "b" })), '[["a","b"]]'],
  ["takes lone surrogates", () => pairs({ "\ud835x": "\udc53" }), '[["\ufffdx","\ufffd"]]'],
  ["keeps the last of equal keys", () => pairs({ "\ud835": "1", "\udc53": "2" }), '[["\ufffd","2"]]'],
  ["refuses pairs of one", () => threw(() => new URLSearchParams([["a"]])), "TypeError"],
  ["refuses pairs of three", () => threw(() => new URLSearchParams([["a", "b", "c"]])), "TypeError"],
  ["refuses a symbol", () => threw(() => new URLSearchParams(Symbol("x"))), "TypeError"],
  ["refuses to be called", () => threw(() => URLSearchParams("a=b")), "TypeError"],
  ["writes a space", () => text([["a b", "c d"]]), "a+b=c+d"],
  ["writes what stays", () => text([["*-._09AZaz", "~"]]), "*-._09AZaz=%7E"],
  ["writes ASCII", () => text([["x", "!\"#$%&'()+,/:;<=>?@[\\]^`{|}\x7f\0"]]), "x=%21%22%23%24%25%26%27%28%29%2B%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D%7F%00"],
  ["writes beyond", () => text([["é", "日😀"]]), "%C3%A9=%E6%97%A5%F0%9F%98%80"],
  ["appends", () => list("a=b", (p) => (p.append("a", "c"), p.append("", null))), "a=b&a=c&=null"],
  ["deletes all of a name", () => list("a=b&c=d&a", (p) => p.delete("a")), "c=d"],
  ["deletes a value", () => list("a=b&a=c&a=b", (p) => p.delete("a", "b")), "a=c"],
  ["deletes with undefined", () => list("a=b&a", (p) => p.delete("a", undefined)), ""],
  ["sets the first and drops the rest", () => list("a=1&b=2&a=3", (p) => p.set("a", "x")), "a=x&b=2"],
  ["sets what is not there", () => list("a=1", (p) => p.set("b", "2")), "a=1&b=2"],
  ["gets", () => new URLSearchParams("a=b&a=c").get("a"), "b"],
  ["gets nothing", () => new URLSearchParams("a=b").get("c"), null],
  ["gets all", () => new URLSearchParams("a=b&c&a=d").getAll("a").join(), "b,d"],
  ["gets all of nothing", () => new URLSearchParams("a").getAll("b").length, 0],
  ["has", () => new URLSearchParams("a=b").has("a"), true],
  ["has a value", () => [new URLSearchParams("a=b&a").has("a", ""), new URLSearchParams("a=b").has("a", "c")].join(), "true,false"],
  ["has with undefined", () => new URLSearchParams("a=b").has("a", undefined), true],
  ["counts", () => new URLSearchParams("a=1&b&a").size, 3],
  ["sorts by code units", () => list("ﬃ&🌈", (p) => p.sort()), text("🌈&ﬃ")],
  ["sorts stably", () => list("z=b&a=b&z=a&a=a", (p) => p.sort()), "a=b&a=a&z=b&z=a"],
  ["sorts the shorter first", () => list("é&e\ufffd&é", (p) => p.sort()), text("e\ufffd&é&é")],
  ["iterates live", () => {
    const seen = [];
    const parameters = new URLSearchParams("a=1&b=2&c=3");
    for (const [name] of parameters) {
      seen.push(name);
      parameters.delete("b");
    }
    return seen.join();
  }, "a,c"],
  ["iterates forEach", () => {
    const seen = [];
    new URLSearchParams("a=1&b=2").forEach(function (value, name, all) {
      seen.push(name + value + (all instanceof URLSearchParams) + this.x);
    }, { x: "!" });
    return seen.join();
  }, "a1true!,b2true!"],
  ["names its iterator", () => Object.prototype.toString.call(new URLSearchParams("a").entries()), "[object URLSearchParams Iterator]"],
  ["iterates by entries", () => URLSearchParams.prototype[Symbol.iterator] === URLSearchParams.prototype.entries, true],
  ["has enumerable methods", () => Object.keys(URLSearchParams.prototype).includes("append"), true],
  ["has a tag", () => String(Object.prototype.toString.call(new URLSearchParams())), "[object URLSearchParams]"],
  ["needs arguments", () => threw(() => new URLSearchParams().append("a")), "TypeError"],
  ["needs a name", () => threw(() => new URLSearchParams().get()), "TypeError"],
  ["is its URL's", () => {
    const url = new URL("http://a/?x=1#h");
    const parameters = url.searchParams;
    parameters.append("y", "z z");
    url.search = "?q=1";
    return [url.href, parameters.toString(), parameters === url.searchParams].join();
  }, "http://a/?q=1#h,q=1,true"],
  ["empties its URL's query", () => {
    const url = new URL("http://a/?x=1#h");
    url.searchParams.delete("x");
    return url.href;
  }, "http://a/#h"],
  ["writes its URL's query anew", () => {
    const url = new URL("http://a/?x=%20~");
    url.searchParams.append("y", "1");
    return url.search;
  }, "?x=+%7E&y=1"],
]);
