// The URL parser of the WHATWG URL Standard: its states, in its order. Gives records; the classes are in the next file.
// Longer than the limit: one machine of twenty states, which reads best beside the standard and in one piece.
(function (native) {
  "use strict";

  const SPECIAL = { __proto__: null, "ftp:": 21, "file:": null, "http:": 80, "https:": 443, "ws:": 80, "wss:": 443 };
  const isSpecial = (url) => url.scheme in SPECIAL;

  // Percent-encode sets, each the set before it and some more characters.
  const fragmentSet = ' "<>`';
  const querySet = ' "#<>';
  const specialQuerySet = querySet + "'";
  const pathSet = querySet + "?^`{}";
  const userinfoSet = pathSet + "/:;=@[\\]|";
  const componentSet = userinfoSet + "$&+,";

  const hex = (byte) => "%" + (byte < 16 ? "0" : "") + byte.toString(16).toUpperCase();

  function encode(character, set) {
    const code = character.codePointAt(0);
    if (code > 0x1f && code < 0x7f) return set.includes(character) ? hex(code) : character;
    let text = "";
    for (const byte of native.utf8(character)) text += hex(byte);
    return text;
  }

  function encodeAll(text, set) {
    let result = "";
    for (const character of text) result += encode(character, set);
    return result;
  }

  const isDigit = (c) => c >= "0" && c <= "9" && c.length === 1;
  const isAlpha = (c) => c !== undefined && c.length === 1 && ((c >= "a" && c <= "z") || (c >= "A" && c <= "Z"));
  const isHex = (c) => isDigit(c) || (c.length === 1 && ((c >= "a" && c <= "f") || (c >= "A" && c <= "F")));

  function percentDecode(text) {
    if (!text.includes("%")) return native.utf8(text);
    const bytes = native.utf8(text);
    const decoded = [];
    for (let i = 0; i < bytes.length; i++) {
      const pair = bytes[i] === 0x25 && i + 2 < bytes.length ? String.fromCharCode(bytes[i + 1], bytes[i + 2]) : "";
      if (pair !== "" && isHex(pair[0]) && isHex(pair[1])) {
        decoded.push(parseInt(pair, 16));
        i += 2;
      } else {
        decoded.push(bytes[i]);
      }
    }
    return new Uint8Array(decoded);
  }

  // ---- hosts ----

  function ipv4Number(text) {
    if (text === "") return NaN;
    let radix = 10;
    if (text.length >= 2 && (text.startsWith("0x") || text.startsWith("0X"))) {
      text = text.slice(2);
      radix = 16;
    } else if (text.length >= 2 && text[0] === "0") {
      text = text.slice(1);
      radix = 8;
    }
    if (text === "") return 0;
    const digits = radix === 10 ? /^[0-9]+$/ : radix === 16 ? /^[0-9a-fA-F]+$/ : /^[0-7]+$/;
    return digits.test(text) ? parseInt(text, radix) : NaN;
  }

  function endsInNumber(host) {
    const parts = host.split(".");
    if (parts.at(-1) === "") {
      if (parts.length === 1) return false;
      parts.pop();
    }
    const last = parts.at(-1);
    return /^[0-9]+$/.test(last) || (/^0[xX]/.test(last) && !Number.isNaN(ipv4Number(last)));
  }

  function parseIPv4(host) {
    const parts = host.split(".");
    if (parts.at(-1) === "" && parts.length > 1) parts.pop();
    if (parts.length > 4) return null;
    const numbers = parts.map(ipv4Number);
    if (numbers.some(Number.isNaN) || numbers.slice(0, -1).some((number) => number > 255)) return null;
    const last = numbers.pop();
    if (last >= 256 ** (4 - numbers.length)) return null;
    let address = last;
    numbers.forEach((number, i) => (address += number * 256 ** (3 - i)));
    return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
  }

  function parseIPv6(text) {
    const pieces = [0, 0, 0, 0, 0, 0, 0, 0];
    let index = 0;
    let compress = null;
    let at = 0;
    if (text[at] === ":") {
      if (text[at + 1] !== ":") return null;
      at += 2;
      compress = ++index;
    }
    while (at < text.length) {
      if (index === 8) return null;
      if (text[at] === ":") {
        if (compress !== null) return null;
        at++;
        compress = ++index;
        continue;
      }
      let value = 0;
      let length = 0;
      while (length < 4 && at < text.length && isHex(text[at])) {
        value = value * 16 + parseInt(text[at++], 16);
        length++;
      }
      if (text[at] === ".") {
        if (length === 0 || index > 6) return null;
        const quad = parseQuad(text.slice(at - length));
        if (quad === null) return null;
        pieces[index++] = quad[0] * 256 + quad[1];
        pieces[index++] = quad[2] * 256 + quad[3];
        at = text.length;
        break;
      }
      if (text[at] === ":") {
        if (++at === text.length) return null;
      } else if (at < text.length) {
        return null;
      }
      pieces[index++] = value;
    }
    if (compress !== null) {
      let swaps = index - compress;
      index = 7;
      while (index !== 0 && swaps > 0) {
        const other = compress + swaps - 1;
        [pieces[index], pieces[other]] = [pieces[other], pieces[index]];
        index--;
        swaps--;
      }
    } else if (index !== 8) {
      return null;
    }
    return "[" + writeIPv6(pieces) + "]";
  }

  function parseQuad(text) {
    const parts = text.split(".");
    if (parts.length !== 4) return null;
    const numbers = parts.map((part) => (/^(0|[1-9][0-9]{0,2})$/.test(part) ? Number(part) : NaN));
    return numbers.every((number) => number <= 255) ? numbers : null;
  }

  function writeIPv6(pieces) {
    let best = -1;
    let bestLength = 1;
    for (let i = 0; i < 8; i++) {
      let length = 0;
      while (i + length < 8 && pieces[i + length] === 0) length++;
      if (length > bestLength) {
        best = i;
        bestLength = length;
      }
    }
    let text = "";
    for (let i = 0; i < 8; i++) {
      if (i === best) {
        text += i === 0 ? "::" : ":";
        i += bestLength - 1;
        continue;
      }
      text += pieces[i].toString(16);
      if (i !== 7) text += ":";
    }
    return text;
  }

  // Punycode, RFC 3492, for labels outside ASCII.
  function punycode(label) {
    const input = Array.from(label, (character) => character.codePointAt(0));
    const basic = input.filter((code) => code < 128);
    let output = String.fromCharCode(...basic);
    let handled = basic.length;
    const start = handled;
    if (start > 0) output += "-";
    let n = 128;
    let delta = 0;
    let bias = 72;
    while (handled < input.length) {
      const m = Math.min(...input.filter((code) => code >= n));
      delta += (m - n) * (handled + 1);
      n = m;
      for (const code of input) {
        if (code < n) delta++;
        if (code !== n) continue;
        let q = delta;
        for (let k = 36; ; k += 36) {
          const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
          if (q < t) break;
          const digit = t + ((q - t) % (36 - t));
          output += String.fromCharCode(digit + (digit < 26 ? 97 : 22));
          q = Math.floor((q - t) / (36 - t));
        }
        output += String.fromCharCode(q + (q < 26 ? 97 : 22));
        delta = handled === start ? Math.floor(delta / 700) : delta >> 1;
        delta += Math.floor(delta / (handled + 1));
        let k = 0;
        for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
        bias = k + Math.floor((36 * delta) / (delta + 38));
        delta = 0;
        handled++;
      }
      delta++;
      n++;
    }
    return "xn--" + output;
  }

  const ignored = /[\u00ad\u200b\u2060\ufeff\u034f\ufe00-\ufe0f]/g;
  const invalid = /[\u0000- "#%/:<>?@[\\\]^`{|}\u007f\ufffd\u200c-\u200f\u202a-\u202e\ud800-\udfff]/u;

  // The mapping of names is Unicode's compatibility form in lower case, which agrees with UTS #46 for the names that can be registered.
  function domainToASCII(domain) {
    const mapped = domain.replace(ignored, "").normalize("NFKC").toLowerCase().normalize("NFKC").replace(/[\u3002\uff0e\uff61]/g, ".");
    return mapped
      .split(".")
      .map((label) => (/^[\u0000-\u007f]*$/.test(label) ? label : punycode(label)))
      .join(".");
  }

  function parseHost(text, special) {
    if (text[0] === "[") return text.at(-1) === "]" ? parseIPv6(text.slice(1, -1)) : null;
    if (!special) return /[\u0000\t\n\r #/:<>?@[\\\]^|]/.test(text) ? null : encodeAll(text, "");
    const domain = native.fromUtf8(percentDecode(text));
    const ascii = /^[a-z0-9.-]+$/.test(domain) && !domain.includes("xn--") ? domain : domainToASCII(domain);
    if (ascii === "" || invalid.test(ascii)) return null;
    return endsInNumber(ascii) ? parseIPv4(ascii) : ascii;
  }

  // ---- paths ----

  const isSingleDot = (segment) => segment === "." || segment.toLowerCase() === "%2e";
  const isDoubleDot = (segment) => /^(\.|%2e)(\.|%2e)$/i.test(segment);
  const isDriveLetter = (text) => /^[a-zA-Z][:|]$/.test(text);
  const startsWithDriveLetter = (c, at) =>
    isAlpha(c[at]) && (c[at + 1] === ":" || c[at + 1] === "|") && (at + 2 >= c.length || "/\\?#".includes(c[at + 2]));

  function shorten(url) {
    if (url.scheme === "file:" && url.path.length === 1 && /^[a-zA-Z]:$/.test(url.path[0])) return;
    url.path.pop();
  }

  const blank = () => ({ scheme: "", username: "", password: "", host: null, port: null, path: [], query: null, fragment: null });

  // Parses `input`, against `base` where it is relative. With `override` only that part of `url` is parsed: a setter. Null is failure.
  function parse(input, base = null, url = null, override = null) {
    if (url === null) {
      url = blank();
      input = input.replace(/^[\u0000- ]+|[\u0000- ]+$/g, "");
    }
    const c = Array.from(input.replace(/[\t\n\r]/g, ""));
    const run = { c, at: 0, base, url, override, buffer: "", atSeen: false, inBrackets: false, passwordSeen: false };
    let state = override ?? "scheme start";
    for (; ; run.at++) {
      const next = states[state](run, c[run.at]);
      if (next === FAILURE) return null;
      if (next === DONE) return url;
      if (next !== undefined) state = next;
      if (run.at >= c.length) return url;
    }
  }

  const FAILURE = Symbol("failure");
  const DONE = Symbol("done");
  // Takes the character once more in another state.
  const again = (run, state, back = 1) => ((run.at -= back), state);
  const isEnd = (run, c) => c === undefined || c === "/" || c === "?" || c === "#" || (isSpecial(run.url) && c === "\\");

  const states = {
    __proto__: null,
    "scheme start"(run, c) {
      if (isAlpha(c)) {
        run.buffer += c.toLowerCase();
        return "scheme";
      }
      return run.override ? FAILURE : again(run, "no scheme");
    },
    scheme(run, c) {
      const { url, override } = run;
      if (c !== undefined && (isAlpha(c) || isDigit(c) || c === "+" || c === "-" || c === ".")) {
        run.buffer += c.toLowerCase();
        return;
      }
      if (c === ":") {
        const scheme = run.buffer + ":";
        if (override) {
          if (isSpecial(url) !== scheme in SPECIAL) return DONE;
          if (scheme === "file:" && (url.username !== "" || url.password !== "" || url.port !== null)) return DONE;
          if (url.scheme === "file:" && url.host === "") return DONE;
          url.scheme = scheme;
          if (url.port === SPECIAL[scheme]) url.port = null;
          return DONE;
        }
        url.scheme = scheme;
        run.buffer = "";
        if (scheme === "file:") return "file";
        if (isSpecial(url)) return run.base?.scheme === scheme ? "special relative or authority" : "special authority slashes";
        if (run.c[run.at + 1] === "/") {
          run.at++;
          return "path or authority";
        }
        url.path = "";
        return "opaque path";
      }
      if (override) return FAILURE;
      run.buffer = "";
      run.at = -1;
      return "no scheme";
    },
    "no scheme"(run, c) {
      const { base, url } = run;
      if (base === null || (typeof base.path === "string" && c !== "#")) return FAILURE;
      if (typeof base.path === "string") {
        Object.assign(url, base, { fragment: "" });
        return "fragment";
      }
      return again(run, base.scheme === "file:" ? "file" : "relative");
    },
    "special relative or authority"(run, c) {
      if (c === "/" && run.c[run.at + 1] === "/") {
        run.at++;
        return "special authority ignore slashes";
      }
      return again(run, "relative");
    },
    "path or authority"(run, c) {
      return c === "/" ? "authority" : again(run, "path");
    },
    relative(run, c) {
      const { base, url } = run;
      url.scheme = base.scheme;
      if (c === "/") return "relative slash";
      if (isSpecial(url) && c === "\\") return "relative slash";
      const { username, password, host, port, path, query } = base;
      Object.assign(url, { username, password, host, port, path: [...path], query });
      if (c === "?") {
        url.query = "";
        return "query";
      }
      if (c === "#") {
        url.fragment = "";
        return "fragment";
      }
      if (c !== undefined) {
        url.query = null;
        shorten(url);
        return again(run, "path");
      }
    },
    "relative slash"(run, c) {
      const { base, url } = run;
      if (isSpecial(url) && (c === "/" || c === "\\")) return "special authority ignore slashes";
      if (c === "/") return "authority";
      const { username, password, host, port } = base;
      Object.assign(url, { username, password, host, port });
      return again(run, "path");
    },
    "special authority slashes"(run, c) {
      if (c === "/" && run.c[run.at + 1] === "/") {
        run.at++;
        return "special authority ignore slashes";
      }
      return again(run, "special authority ignore slashes");
    },
    "special authority ignore slashes"(run, c) {
      if (c !== "/" && c !== "\\") return again(run, "authority");
    },
    authority(run, c) {
      const { url } = run;
      if (c === "@") {
        const buffer = run.atSeen ? "%40" + run.buffer : run.buffer;
        run.atSeen = true;
        for (const one of buffer) {
          if (one === ":" && !run.passwordSeen) {
            run.passwordSeen = true;
            continue;
          }
          if (run.passwordSeen) url.password += encode(one, userinfoSet);
          else url.username += encode(one, userinfoSet);
        }
        run.buffer = "";
      } else if (isEnd(run, c)) {
        if (run.atSeen && run.buffer === "") return FAILURE;
        const back = Array.from(run.buffer).length + 1;
        run.buffer = "";
        return again(run, "host", back);
      } else {
        run.buffer += c;
      }
    },
    host(run, c) {
      const { url, override } = run;
      if (override && url.scheme === "file:") return again(run, "file host");
      if (c === ":" && !run.inBrackets) {
        if (run.buffer === "" || override === "hostname") return FAILURE;
        const host = parseHost(run.buffer, isSpecial(url));
        if (host === null) return FAILURE;
        url.host = host;
        run.buffer = "";
        return "port";
      }
      if (isEnd(run, c)) {
        run.at--;
        if (isSpecial(url) && run.buffer === "") return FAILURE;
        if (override && run.buffer === "" && (url.username !== "" || url.password !== "" || url.port !== null)) return FAILURE;
        const host = parseHost(run.buffer, isSpecial(url));
        if (host === null) return FAILURE;
        url.host = host;
        run.buffer = "";
        return override ? DONE : "path start";
      }
      if (c === "[") run.inBrackets = true;
      if (c === "]") run.inBrackets = false;
      run.buffer += c;
    },
    hostname(run, c) {
      return states.host(run, c);
    },
    port(run, c) {
      const { url, override } = run;
      if (c !== undefined && isDigit(c)) {
        run.buffer += c;
        return;
      }
      if (!isEnd(run, c) && !override) return FAILURE;
      if (run.buffer !== "") {
        const port = parseInt(run.buffer, 10);
        if (port > 65535) return FAILURE;
        url.port = port === SPECIAL[url.scheme] ? null : port;
        run.buffer = "";
        if (override) return DONE;
      }
      if (override) return FAILURE;
      return again(run, "path start");
    },
    file(run, c) {
      const { base, url } = run;
      url.scheme = "file:";
      url.host = "";
      if (c === "/" || c === "\\") return "file slash";
      if (base?.scheme !== "file:") return again(run, "path");
      Object.assign(url, { host: base.host, path: [...base.path], query: base.query });
      if (c === "?") {
        url.query = "";
        return "query";
      }
      if (c === "#") {
        url.fragment = "";
        return "fragment";
      }
      if (c === undefined) return;
      url.query = null;
      if (startsWithDriveLetter(run.c, run.at)) url.path = [];
      else shorten(url);
      return again(run, "path");
    },
    "file slash"(run, c) {
      const { base, url } = run;
      if (c === "/" || c === "\\") return "file host";
      if (base?.scheme === "file:") {
        url.host = base.host;
        if (!startsWithDriveLetter(run.c, run.at) && /^[a-zA-Z]:$/.test(base.path[0] ?? "")) url.path.push(base.path[0]);
      }
      return again(run, "path");
    },
    "file host"(run, c) {
      const { url, override } = run;
      if (c !== undefined && !"/\\?#".includes(c)) {
        run.buffer += c;
        return;
      }
      run.at--;
      if (!override && isDriveLetter(run.buffer)) return "path";
      if (run.buffer === "") {
        url.host = "";
        return override ? DONE : "path start";
      }
      const host = parseHost(run.buffer, true);
      if (host === null) return FAILURE;
      url.host = host === "localhost" ? "" : host;
      run.buffer = "";
      return override ? DONE : "path start";
    },
    "path start"(run, c) {
      const { url, override } = run;
      if (isSpecial(url)) return c === "/" || c === "\\" ? "path" : again(run, "path");
      if (!override && c === "?") {
        url.query = "";
        return "query";
      }
      if (!override && c === "#") {
        url.fragment = "";
        return "fragment";
      }
      if (c !== undefined) return c === "/" ? "path" : again(run, "path");
      if (override && url.host === null) url.path.push("");
    },
    path(run, c) {
      const { url, override } = run;
      const slash = c === "/" || (isSpecial(url) && c === "\\");
      if (c !== undefined && !slash && (override || (c !== "?" && c !== "#"))) {
        run.buffer += encode(c, pathSet);
        return;
      }
      if (isDoubleDot(run.buffer)) {
        shorten(url);
        if (!slash) url.path.push("");
      } else if (isSingleDot(run.buffer)) {
        if (!slash) url.path.push("");
      } else {
        if (url.scheme === "file:" && url.path.length === 0 && isDriveLetter(run.buffer)) run.buffer = run.buffer[0] + ":";
        url.path.push(run.buffer);
      }
      run.buffer = "";
      if (c === "?") {
        url.query = "";
        return "query";
      }
      if (c === "#") {
        url.fragment = "";
        return "fragment";
      }
    },
    "opaque path"(run, c) {
      const { url } = run;
      if (c === "?") {
        url.query = "";
        return "query";
      }
      if (c === "#") {
        url.fragment = "";
        return "fragment";
      }
      if (c !== undefined) url.path += c === " " && "?#".includes(run.c[run.at + 1] ?? "\0") ? "%20" : encode(c, "");
    },
    query(run, c) {
      const { url, override } = run;
      if (c === undefined || (!override && c === "#")) {
        url.query += encodeAll(run.buffer, isSpecial(url) ? specialQuerySet : querySet);
        run.buffer = "";
        if (c === "#") {
          url.fragment = "";
          return "fragment";
        }
        return;
      }
      run.buffer += c;
    },
    fragment(run, c) {
      if (c !== undefined) run.url.fragment += encode(c, fragmentSet);
    },
  };

  const path = (url) => (typeof url.path === "string" ? url.path : url.path.map((segment) => "/" + segment).join(""));

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
    text += path(url);
    if (url.query !== null) text += "?" + url.query;
    if (withFragment && url.fragment !== null) text += "#" + url.fragment;
    return text;
  }

  native.url = { parse, write, path, isSpecial, encodeAll, userinfoSet, componentSet, percentDecode };
})
