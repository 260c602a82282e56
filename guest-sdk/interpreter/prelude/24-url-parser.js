// The URL parser of the WHATWG URL Standard. Its states are the standard's, but each takes as much text at once as it can, since what a
// script does for each character costs it dearly. Gives records; the classes are in the next file.
(function (native) {
  "use strict";
  const { encodeAll, controlSet, fragmentSet, querySet, specialQuerySet, pathSet, userinfoSet, parseHost } = native.url;

  const SPECIAL = { __proto__: null, "ftp:": 21, "file:": null, "http:": 80, "https:": 443, "ws:": 80, "wss:": 443 };
  const isSpecial = (url) => url.scheme in SPECIAL;

  const SCHEME = /^[a-zA-Z][a-zA-Z0-9+.-]*:$/;
  const AROUND = /^[\u0000- ]+|[\u0000- ]+$/g;
  const BREAKS = /[\t\n\r]/g;
  // Looking for one character is several times cheaper than an expression that finds one of several, and makes an object of it. Few
  // addresses have any of these.
  const hasBreaks = (text) => text.includes("\n") || text.includes("\t") || text.includes("\r");
  const isPadded = (text) => text.charCodeAt(0) <= 0x20 || text.charCodeAt(text.length - 1) <= 0x20;
  const mayHaveDots = (path) => (path.includes(".") || path.includes("%2")) && DOTS.test(path);
  // Where a part ends.
  const AUTHORITY_END = "/?#";
  const SPECIAL_AUTHORITY_END = "/\\?#";
  const PATH_END = "?#";
  const DOTS = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i;
  const SINGLE_DOT = /^(?:\.|%2e)$/i;
  const DOUBLE_DOT = /^(?:\.|%2e){2}$/i;
  const DRIVE = /^[a-zA-Z][:|]$/;
  const STARTS_WITH_DRIVE = /^[a-zA-Z][:|](?:[/\\?#]|$)/;
  // A host up to its port: a colon inside of brackets belongs to it.
  const HOST = /^(?:[^:[]+|\[[^\]]*(?:\]|$))*/;

  // Most addresses that scripts read: nothing in them has to be encoded, mapped or left out. One expression tells so and takes them apart.
  const SIMPLE =
    /^(https?:)\/\/([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([1-9][0-9]{0,4}))?((?:\/[\w.~!$&'()*+,;=:@%-]*)*)(?:\?([\w.~!$&()*+,;=:@%/?-]*))?(?:#([\w.~!$&()*+,;=:@%/?-]*))?$/;

  // Whether the last label begins with a digit, as that of every IPv4 address does, and of next to no name.
  function endsLikeAddress(host) {
    const code = host.charCodeAt(host.lastIndexOf(".") + 1);
    return code >= 0x30 && code <= 0x39;
  }

  const FAILURE = Symbol("failure");
  const DONE = null;

  const isDrive = (text) => text !== undefined && text.length === 2 && DRIVE.test(text);

  // The first place, from where the run is, of any of these characters; else the end.
  function find(characters, { text, at }) {
    let end = text.length;
    for (let i = 0; i < characters.length; i++) {
      const found = text.indexOf(characters[i], at);
      if (found >= 0 && found < end) end = found;
    }
    return end;
  }

  // The scheme with its colon, in lower case; null where there is none.
  function schemeOf(text) {
    const start = text.slice(0, text.indexOf(":") + 1);
    if (start in SPECIAL) return start;
    return SCHEME.test(start) ? start.toLowerCase() : null;
  }

  function shorten(url) {
    if (url.scheme === "file:" && url.path.length === 1 && isDrive(url.path[0]) && url.path[0][1] === ":") return;
    url.path.pop();
  }

  const blank = () => ({ scheme: "", username: "", password: "", host: null, port: null, path: [], query: null, fragment: null });

  // What the states make of a simple address, or null where it is none. It is never relative to anything.
  function simple(input) {
    const found = SIMPLE.exec(input);
    if (found === null) return null;
    // To take the parts one by one is cheaper than by a pattern, which asks for an iterator.
    const scheme = found[1];
    const host = found[2];
    const path = found[4];
    const port = found[3] === undefined ? null : Number(found[3]);
    if (port === SPECIAL[scheme] || port > 65535 || endsLikeAddress(host) || host.includes("xn--") || mayHaveDots(path)) return null;
    const segments = path === "" ? [""] : path.slice(1).split("/");
    return { scheme, username: "", password: "", host, port, path: segments, query: found[5] ?? null, fragment: found[6] ?? null };
  }

  // Parses `input`, against `base` where it is relative. With `override` only that part of `url` is parsed: a setter. Null is failure.
  function parse(input, base = null, url = null, override = null) {
    if (url === null) {
      const known = simple(input);
      if (known !== null) return known;
      url = blank();
      if (isPadded(input)) input = input.replace(AROUND, "");
    }
    const run = { text: hasBreaks(input) ? input.replace(BREAKS, "") : input, at: 0, base, url, override };
    for (let state = override === null ? schemeStart : parts[override]; state !== DONE; ) {
      state = state(run);
      if (state === FAILURE) return null;
    }
    return url;
  }

  function schemeStart(run) {
    const { url, base, override, text } = run;
    const scheme = schemeOf(text);
    if (scheme === null) return override ? FAILURE : noScheme;
    if (override) {
      changeScheme(url, scheme);
      return DONE;
    }
    url.scheme = scheme;
    run.at = scheme.length;
    if (scheme === "file:") return file;
    if (scheme in SPECIAL) return base?.scheme === scheme && !text.startsWith("//", run.at) ? relative : ignoreSlashes;
    if (text[run.at] === "/") {
      run.at++;
      return text[run.at] === "/" ? (run.at++, authority) : path;
    }
    url.path = "";
    return opaquePath;
  }

  function changeScheme(url, scheme) {
    if (isSpecial(url) !== scheme in SPECIAL) return;
    if (scheme === "file:" && (url.username !== "" || url.password !== "" || url.port !== null)) return;
    if (url.scheme === "file:" && url.host === "") return;
    url.scheme = scheme;
    if (url.port === SPECIAL[scheme]) url.port = null;
  }

  function noScheme({ base, url, text }) {
    if (base === null) return FAILURE;
    if (typeof base.path !== "string") return base.scheme === "file:" ? file : relative;
    if (text[0] !== "#") return FAILURE;
    Object.assign(url, base, { fragment: null });
    return tail;
  }

  function takeAuthority(url, base) {
    url.username = base.username;
    url.password = base.password;
    url.host = base.host;
    url.port = base.port;
  }

  function relative(run) {
    const { base, url } = run;
    url.scheme = base.scheme;
    const c = run.text[run.at];
    if (c === "/" || (c === "\\" && isSpecial(url))) {
      run.at++;
      return relativeSlash;
    }
    takeAuthority(url, base);
    url.path = [...base.path];
    if (c === undefined || c === "?" || c === "#") {
      url.query = base.query;
      return tail;
    }
    shorten(url);
    return path;
  }

  function relativeSlash(run) {
    const { base, url } = run;
    const c = run.text[run.at];
    if (isSpecial(url) && (c === "/" || c === "\\")) return ignoreSlashes;
    if (c === "/") {
      run.at++;
      return authority;
    }
    takeAuthority(url, base);
    return path;
  }

  function ignoreSlashes(run) {
    while (run.text[run.at] === "/" || run.text[run.at] === "\\") run.at++;
    return authority;
  }

  function authority(run) {
    const { url } = run;
    const end = find(isSpecial(url) ? SPECIAL_AUTHORITY_END : AUTHORITY_END, run);
    const at = run.text.lastIndexOf("@", end - 1);
    if (at < run.at) return host;
    if (at === end - 1) return FAILURE;
    const credentials = run.text.slice(run.at, at);
    const colon = credentials.indexOf(":");
    url.username = encodeAll(colon < 0 ? credentials : credentials.slice(0, colon), userinfoSet);
    if (colon >= 0) url.password = encodeAll(credentials.slice(colon + 1), userinfoSet);
    run.at = at + 1;
    return host;
  }

  function host(run) {
    const { url, override } = run;
    if (override && url.scheme === "file:") return fileHost;
    const special = isSpecial(url);
    const whole = run.text.slice(run.at, find(special ? SPECIAL_AUTHORITY_END : AUTHORITY_END, run));
    const text = whole.includes(":") ? HOST.exec(whole)[0] : whole;
    const hasPort = text.length < whole.length;
    if (text === "" && (hasPort || special)) return FAILURE;
    if (hasPort && override === "hostname") return FAILURE;
    if (text === "" && override && (url.username !== "" || url.password !== "" || url.port !== null)) return FAILURE;
    const parsed = parseHost(text, special);
    if (parsed === null) return FAILURE;
    url.host = parsed;
    run.at += text.length;
    if (hasPort) {
      run.at++;
      return port;
    }
    return override ? DONE : pathStart;
  }

  function port(run) {
    const { url, override, text } = run;
    let end = run.at;
    while (text[end] >= "0" && text[end] <= "9") end++;
    const c = text[end];
    const isEnd = c === undefined || c === "/" || c === "?" || c === "#" || (c === "\\" && isSpecial(url));
    if (!isEnd && !override) return FAILURE;
    if (end > run.at) {
      const number = parseInt(text.slice(run.at, end), 10);
      if (number > 65535) return FAILURE;
      url.port = number === SPECIAL[url.scheme] ? null : number;
    } else if (override) {
      return FAILURE;
    }
    run.at = end;
    return override ? DONE : pathStart;
  }

  function file(run) {
    const { base, url } = run;
    url.scheme = "file:";
    url.host = "";
    const c = run.text[run.at];
    if (c === "/" || c === "\\") {
      run.at++;
      return fileSlash;
    }
    if (base?.scheme !== "file:") return path;
    url.host = base.host;
    url.path = [...base.path];
    if (c === undefined || c === "?" || c === "#") {
      url.query = base.query;
      return tail;
    }
    if (STARTS_WITH_DRIVE.test(run.text.slice(run.at, run.at + 3))) url.path = [];
    else shorten(url);
    return path;
  }

  function fileSlash(run) {
    const { base, url } = run;
    const c = run.text[run.at];
    if (c === "/" || c === "\\") {
      run.at++;
      return fileHost;
    }
    if (base?.scheme === "file:") {
      url.host = base.host;
      const keepsDrive = isDrive(base.path[0]) && base.path[0][1] === ":";
      if (keepsDrive && !STARTS_WITH_DRIVE.test(run.text.slice(run.at, run.at + 3))) url.path.push(base.path[0]);
    }
    return path;
  }

  function fileHost(run) {
    const { url, override } = run;
    const text = run.text.slice(run.at, find(SPECIAL_AUTHORITY_END, run));
    if (!override && isDrive(text)) return path;
    const parsed = text === "" ? "" : parseHost(text, true);
    if (parsed === null) return FAILURE;
    url.host = parsed === "localhost" ? "" : parsed;
    run.at += text.length;
    return override ? DONE : pathStart;
  }

  function pathStart(run) {
    const { url, override } = run;
    const c = run.text[run.at];
    if (c === "/" || (c === "\\" && isSpecial(url))) {
      run.at++;
      return path;
    }
    if (isSpecial(url)) return path;
    if (c === undefined) {
      if (override && url.host === null) url.path.push("");
      return DONE;
    }
    return !override && (c === "?" || c === "#") ? tail : path;
  }

  function path(run) {
    const { url, override } = run;
    const end = override ? run.text.length : find(PATH_END, run);
    let text = encodeAll(run.text.slice(run.at, end), pathSet);
    if (isSpecial(url)) text = text.replaceAll("\\", "/");
    const segments = text.split("/");
    if (url.scheme !== "file:" && !mayHaveDots(text)) url.path.push(...segments);
    else segments.forEach((segment, i) => step(url, segment, i + 1 === segments.length));
    run.at = end;
    return tail;
  }

  function step(url, segment, isLast) {
    if (DOUBLE_DOT.test(segment)) {
      shorten(url);
      if (isLast) url.path.push("");
    } else if (SINGLE_DOT.test(segment)) {
      if (isLast) url.path.push("");
    } else {
      url.path.push(url.scheme === "file:" && url.path.length === 0 && isDrive(segment) ? segment[0] + ":" : segment);
    }
  }

  function opaquePath(run) {
    const end = find(PATH_END, run);
    const text = encodeAll(run.text.slice(run.at, end), controlSet);
    // A space before what follows would be taken for the end of the URL once that is gone.
    run.url.path += end < run.text.length && text.endsWith(" ") ? text.slice(0, -1) + "%20" : text;
    run.at = end;
    return tail;
  }

  // What follows a path: a question mark, a number sign, or nothing.
  function tail(run) {
    const c = run.text[run.at++];
    if (c === undefined) return DONE;
    return c === "?" ? query : fragment;
  }

  function query(run) {
    const { url, override, text } = run;
    const mark = override ? -1 : text.indexOf("#", run.at);
    const end = mark < 0 ? text.length : mark;
    url.query = encodeAll(text.slice(run.at, end), isSpecial(url) ? specialQuerySet : querySet);
    run.at = end;
    return tail;
  }

  function fragment(run) {
    run.url.fragment = encodeAll(run.text.slice(run.at), fragmentSet);
    return DONE;
  }

  const parts = { __proto__: null, "scheme start": schemeStart, host, hostname: host, port, "path start": pathStart, query, fragment };

  const pathOf = (url) => (typeof url.path === "string" ? url.path : url.path.length === 0 ? "" : "/" + url.path.join("/"));

  function write(url, withFragment = true) {
    let text = url.scheme;
    if (url.host !== null) {
      text += "//";
      if (url.username !== "" || url.password !== "") {
        text += url.username + (url.password === "" ? "" : ":" + url.password) + "@";
      }
      text += url.host + (url.port === null ? "" : ":" + url.port);
    } else if (typeof url.path !== "string" && url.path.length > 1 && url.path[0] === "") {
      text += "/.";
    }
    text += pathOf(url);
    if (url.query !== null) text += "?" + url.query;
    if (withFragment && url.fragment !== null) text += "#" + url.fragment;
    return text;
  }

  native.url = { ...native.url, parse, write, path: pathOf, isSpecial };
})
