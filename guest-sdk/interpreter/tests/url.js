// URL and URLSearchParams behave as the WHATWG URL Standard says.
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

// Input, base, and the URL that comes of them; null where there is none.
const parsed = [
  ["https://example.com", undefined, "https://example.com/"],
  ["HTTPS://User:Pa ss@EXAMPLE.com:443/a/../b/./c?x=1 2#f g", undefined, "https://User:Pa%20ss@example.com/b/c?x=1%202#f%20g"],
  ["http://example.com:8080", undefined, "http://example.com:8080/"],
  ["http://example.com:80/", undefined, "http://example.com/"],
  ["  https://example.com/\n  ", undefined, "https://example.com/"],
  ["https:\\\\example.com\\a\\b", undefined, "https://example.com/a/b"],
  ["https:example.com", undefined, "https://example.com/"],
  ["//host/path", "https://example.com/a", "https://host/path"],
  ["/x?y#z", "https://example.com/a/b?c#d", "https://example.com/x?y#z"],
  ["x", "https://example.com/a/b", "https://example.com/a/x"],
  ["../../../x", "https://example.com/a/b/c/d", "https://example.com/x"],
  ["..", "https://example.com/a/b/c", "https://example.com/a/"],
  [".", "https://example.com/a/b", "https://example.com/a/"],
  ["?q", "https://example.com/a?b#c", "https://example.com/a?q"],
  ["#h", "https://example.com/a?b#c", "https://example.com/a?b#h"],
  ["", "https://example.com/a?b#c", "https://example.com/a?b"],
  ["https://example.com/%7Efoo/%zz", undefined, "https://example.com/%7Efoo/%zz"],
  ["https://example.com/ä?ö#ü", undefined, "https://example.com/%C3%A4?%C3%B6#%C3%BC"],
  ["https://exämple.com/", undefined, "https://xn--exmple-cua.com/"],
  ["https://日本語.jp", undefined, "https://xn--wgv71a119e.jp/"],
  ["https://faß.de", undefined, "https://xn--fa-hia.de/"],
  ["http://%65xample.com", undefined, "http://example.com/"],
  ["http://0x7f.1/", undefined, "http://127.0.0.1/"],
  ["http://2130706433/", undefined, "http://127.0.0.1/"],
  ["http://017700000001", undefined, "http://127.0.0.1/"],
  ["http://1.2.3", undefined, "http://1.2.0.3/"],
  ["http://256.1.1.1", undefined, null],
  ["http://1.2.3.4.5", undefined, null],
  ["http://[::1]:3000/", undefined, "http://[::1]:3000/"],
  ["http://[2001:db8:0:0:1:0:0:1]", undefined, "http://[2001:db8::1:0:0:1]/"],
  ["http://[::ffff:192.168.0.1]/", undefined, "http://[::ffff:c0a8:1]/"],
  ["http://[1::2::3]/", undefined, null],
  ["http://[::1", undefined, null],
  ["http://a b/", undefined, null],
  ["http://", undefined, null],
  ["http://a:99999", undefined, null],
  ["http://a:1x", undefined, null],
  ["nothing", undefined, null],
  ["/path", undefined, null],
  ["mailto:a@b.c", undefined, "mailto:a@b.c"],
  ["data:text/plain,hello world", undefined, "data:text/plain,hello world"],
  ["javascript:alert(1)", undefined, "javascript:alert(1)"],
  ["foo://Host/Path/../x", undefined, "foo://Host/x"],
  ["foo:/a/b", undefined, "foo:/a/b"],
  ["file:///C|/x/../..", undefined, "file:///C:/"],
  ["file:///etc/passwd", undefined, "file:///etc/passwd"],
  ["file://localhost/x", undefined, "file:///x"],
  ["http://user@/x", undefined, null],
  ["http://a@b@c/", undefined, "http://a%40b@c/"],
  ["ht\ttp://exa\nmple.com/", undefined, "http://example.com/"],
  ["web+demo:/.//not-a-host/", undefined, "web+demo:/.//not-a-host/"],
];

function parsing() {
  for (const [input, base, expected] of parsed) {
    equal(URL.canParse(input, base), expected !== null, `canParse(${input})`);
    if (expected === null) throws(() => new URL(input, base), input);
    else equal(new URL(input, base).href, expected, input);
  }
}

function parts() {
  const url = new URL("https://user:secret@example.com:8443/a/b?x=1&y=2#part");
  const expected = {
    protocol: "https:", username: "user", password: "secret", host: "example.com:8443", hostname: "example.com", port: "8443",
    pathname: "/a/b", search: "?x=1&y=2", hash: "#part", origin: "https://example.com:8443",
  };
  for (const name of Object.keys(expected)) equal(url[name], expected[name], name);
  equal(JSON.stringify({ url }), `{"url":"${url.href}"}`, "toJSON");
  equal(`${url}`, url.href, "toString");
  equal(new URL("data:x").origin, "null", "opaque origin");
}

function setters() {
  const url = new URL("https://example.com/a?b#c");
  url.protocol = "http";
  url.host = "other.example:81";
  url.pathname = "x y/../z";
  url.search = "q=ä";
  url.hash = "";
  url.username = "me@";
  equal(url.href, "http://me%40@other.example:81/z?q=%C3%A4", "setters");
  url.port = "80";
  url.hostname = "bad host";
  url.protocol = "foo";
  equal(url.href, "http://me%40@other.example/z?q=%C3%A4", "setters that do nothing");
  url.port = "8080abc";
  equal(url.port, "8080", "port with rest");
  url.href = "https://again.example/";
  equal(url.host, "again.example", "href");
  throws(() => (url.href = "nothing"), "href");
}

function parameters() {
  const url = new URL("https://example.com/?a=1&b=2&a=3");
  url.searchParams.append("c", "x y&z=ä");
  equal(url.search, "?a=1&b=2&a=3&c=x+y%26z%3D%C3%A4", "append");
  url.searchParams.delete("a");
  url.searchParams.set("b", "9");
  equal(url.href, "https://example.com/?b=9&c=x+y%26z%3D%C3%A4", "delete and set");
  url.search = "?n=1";
  equal(url.searchParams.get("n"), "1", "search refills");
  url.searchParams.delete("n");
  equal(url.href, "https://example.com/", "no query left");

  const list = new URLSearchParams("?q=a+b&q=%41&empty=&flag&%zz=1");
  equal(list.getAll("q").join(), "a b,A", "getAll");
  equal(list.get("flag"), "", "flag");
  equal(list.get("none"), null, "none");
  equal(list.get("%zz"), "1", "broken escape");
  equal(list.size, 5, "size");
  equal(list.has("q", "A") && !list.has("q", "B"), true, "has with a value");
  equal(new URLSearchParams({ a: 1, b: "x" }).toString(), "a=1&b=x", "record");
  equal(new URLSearchParams([["a", "1"], ["a", "2"]]).toString(), "a=1&a=2", "pairs");
  equal(new URLSearchParams(new Map([["k", "v"]])).toString(), "k=v", "iterable");
  throws(() => new URLSearchParams([["a"]]), "half a pair");
  const sorted = new URLSearchParams("z=1&a=2&z=0&b");
  sorted.sort();
  equal(sorted.toString(), "a=2&b=&z=1&z=0", "stable sort");
  equal([...sorted.keys()].join(), "a,b,z,z", "keys");
  equal([...sorted].map((pair) => pair.join(":")).join(), "a:2,b:,z:1,z:0", "entries");
  equal(new URLSearchParams("a=~!*()'").toString(), "a=%7E%21*%28%29%27", "form encoding");
  equal(new URLSearchParams("😀=\ud800").toString(), "%F0%9F%98%80=%EF%BF%BD", "lone surrogate");
}

export default function () {
  parsing();
  parts();
  setters();
  parameters();
}
