// Headers behave as the Fetch Standard says.
function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

function throws(run, what) {
  try {
    run();
  } catch (error) {
    equal(error instanceof TypeError, true, `${what} throws a TypeError`);
    return;
  }
  throw new Error(`${what} did not throw`);
}

const show = (headers) => JSON.stringify([...headers]);

function reading() {
  const headers = new Headers({ "X-B": "2", "x-a": " 1\t", Accept: "*/*" });
  equal(headers.get("X-A"), "1", "get");
  equal(headers.get("none"), null, "none");
  equal(headers.has("ACCEPT") && !headers.has("b"), true, "has");
  equal(show(headers), '[["accept","*/*"],["x-a","1"],["x-b","2"]]', "sorted, lower case");
  equal([...headers.keys()].join(), "accept,x-a,x-b", "keys");
  equal([...headers.values()].join("|"), "*/*|1|2", "values");
  const seen = [];
  headers.forEach((value, name, all) => seen.push(`${name}=${value}${all === headers}`));
  equal(seen.join(), "accept=*/*true,x-a=1true,x-b=2true", "forEach");
  equal(Object.prototype.toString.call(headers), "[object Headers]", "tag");
}

function writing() {
  const headers = new Headers([["a", "1"], ["A", "2"]]);
  equal(headers.get("a"), "1, 2", "joined");
  headers.append("a", "3");
  equal(headers.get("a"), "1, 2, 3", "append");
  headers.set("A", "x");
  equal(show(headers), '[["a","x"]]', "set replaces all");
  headers.delete("a");
  headers.delete("a");
  equal(show(headers), "[]", "delete");
  headers.set("n", 5);
  equal(headers.get("n"), "5", "numbers become text");
  equal(show(new Headers(headers)), '[["n","5"]]', "copy");
  equal(show(new Headers(new Map([["k", "v"]]))), '[["k","v"]]', "iterable");
  equal(show(new Headers()), "[]", "empty");
}

function cookies() {
  const headers = new Headers();
  headers.append("set-cookie", "a=1");
  headers.append("Set-Cookie", "b=2");
  headers.append("x", "y");
  equal(headers.getSetCookie().join("|"), "a=1|b=2", "getSetCookie");
  equal(headers.get("set-cookie"), "a=1, b=2", "get");
  equal(show(headers), '[["set-cookie","a=1"],["set-cookie","b=2"],["x","y"]]', "cookies stay apart");
}

function refusals() {
  const headers = new Headers();
  for (const name of ["", "a b", "a:b", "é", "a\n", "(x)"]) throws(() => headers.set(name, "x"), `name ${JSON.stringify(name)}`);
  for (const value of ["a\nb", "a\rb", "a\0b", "snow\u2603"]) throws(() => headers.append("x", value), `value ${JSON.stringify(value)}`);
  throws(() => new Headers(5), "a number");
  throws(() => new Headers([["a"]]), "half a pair");
  throws(() => Headers.prototype.get.call({}, "a"), "foreign this");
  headers.set("latin", "caf\u00e9");
  equal(headers.get("latin"), "caf\u00e9", "a character that fits in a byte");
}

export default function () {
  reading();
  writing();
  cookies();
  refusals();
}
