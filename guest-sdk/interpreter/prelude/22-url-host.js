// Hosts of URLs, after the WHATWG URL Standard: names with their ASCII form, and addresses.
(function (native) {
  "use strict";
  const { encodeAll, controlSet, percentDecode } = native.url;

  const isHex = (c) => (c >= "0" && c <= "9") || (c >= "a" && c <= "f") || (c >= "A" && c <= "F");

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

  // Whether the last label, but for a dot at the end, is a number.
  const mayBeNumber = (host) => "0123456789abcdefx.".includes(host[host.length - 1]);
  const endsInNumber = /(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$/;

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

  // How fast digits grow, after RFC 3492, 6.1.
  function adapt(delta, length, isFirst) {
    delta = isFirst ? Math.floor(delta / 700) : delta >> 1;
    delta += Math.floor(delta / length);
    let k = 0;
    for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
    return k + Math.floor((36 * delta) / (delta + 38));
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
        bias = adapt(delta, handled + 1, handled === start);
        delta = 0;
        handled++;
      }
      delta++;
      n++;
    }
    return "xn--" + output;
  }

  // The way back; null where the text is not what an encoder gives.
  function fromPunycode(text) {
    const cut = text.lastIndexOf("-");
    const output = cut > 0 ? Array.from(text.slice(0, cut), (character) => character.codePointAt(0)) : [];
    let n = 128;
    let i = 0;
    let bias = 72;
    for (let at = cut > 0 ? cut + 1 : 0; at < text.length; ) {
      const before = i;
      for (let weight = 1, k = 36; ; k += 36) {
        const c = text.charCodeAt(at++);
        const digit = c >= 0x61 && c <= 0x7a ? c - 0x61 : c >= 0x30 && c <= 0x39 ? c - 22 : NaN;
        i += digit * weight;
        if (!(i < 2 ** 31)) return null;
        const t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
        if (digit < t) break;
        weight *= 36 - t;
      }
      const length = output.length + 1;
      bias = adapt(i - before, length, before === 0);
      n += Math.floor(i / length);
      if (n > 0x10ffff) return null;
      i %= length;
      output.splice(i++, 0, n);
    }
    return String.fromCodePoint(...output);
  }

  const ignored = /[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200b\u2060\u2064\u3164\ufe00-\ufe0f\ufeff\uffa0\u{e0100}-\u{e01ef}]/gu;
  // Nearly all names are plain: they are in ASCII and in lower case already.
  const NOT_PLAIN = /[^a-z0-9.-]/;
  // What a name may not hold once it is ASCII.
  const forbidden = /[\u0000- #%/:<>?@[\\\]^|\u007f]/;
  // What no name holds before it is ASCII: what is not assigned, for private use, for control or formatting, or a space. Made when the first
  // such name comes.
  let unfit = null;

  // The mapping of names is Unicode's compatibility form in lower case, which agrees with UTS #46 for the names that can be registered.
  function mapped(domain) {
    // In lower case, the one is two letters and the other depends on what follows; in names they are always these.
    const prepared = domain.replace(ignored, "").replaceAll("\u1e9e", "\u00df").normalize("NFKC").replaceAll("\u03a3", "\u03c3");
    return prepared.toLowerCase().normalize("NFKC").replace(/[\u3002\uff0e\uff61]/g, ".");
  }

  function isValid(label) {
    unfit ??= new RegExp("^\\p{M}|[\\p{C}\\p{Z}\\ufffd]", "u");
    return !unfit.test(label);
  }

  // A label in ASCII, or null.
  function labelToASCII(label) {
    if (label.startsWith("xn--")) {
      const meant = fromPunycode(label.slice(4));
      const known = meant !== null && /[^\u0000-\u007f]/.test(meant) && isValid(meant) && mapped(meant) === meant && punycode(meant) === label;
      return known ? label : null;
    }
    if (/^[\u0000-\u007f]*$/.test(label)) return label;
    return isValid(label) ? punycode(label) : null;
  }

  function domainToASCII(domain) {
    const labels = mapped(domain).split(".").map(labelToASCII);
    return labels.includes(null) ? null : labels.join(".");
  }

  // A host as it is written in a URL, or null.
  function parseHost(text, special) {
    if (text[0] === "[") return text.at(-1) === "]" ? parseIPv6(text.slice(1, -1)) : null;
    if (!special) return /[\u0000\t\n\r #/:<>?@[\\\]^|]/.test(text) ? null : encodeAll(text, controlSet);
    const domain = text.includes("%") ? native.fromUtf8(percentDecode(text)) : text;
    const isPlain = domain !== "" && !NOT_PLAIN.test(domain) && !domain.includes("xn--");
    const ascii = isPlain ? domain : domainToASCII(domain);
    if (ascii === null || ascii === "" || (!isPlain && forbidden.test(ascii))) return null;
    return mayBeNumber(ascii) && endsInNumber.test(ascii) ? parseIPv4(ascii) : ascii;
  }

  native.url = { ...native.url, parseHost };
})
