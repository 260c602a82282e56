// Percent-encoding for URLs, after the WHATWG URL Standard.
(function (native) {
  "use strict";

  // The characters of a set, besides controls and everything outside ASCII, as expressions that find one or all of them.
  function encodeSet(characters) {
    const one = "[\\u0000-\\u001f\\u007f-\\u{10ffff}" + characters.replace(/[\]\\^-]/g, "\\$&") + "]";
    return { one: new RegExp(one, "u"), all: new RegExp(one, "gu") };
  }

  // Each the set before it and some more characters.
  const query = ' "#<>';
  const path = query + "?^`{}";
  const userinfo = path + "/:;=@[\\]|";
  const controlSet = encodeSet("");
  const fragmentSet = encodeSet(' "<>`');
  const querySet = encodeSet(query);
  const specialQuerySet = encodeSet(query + "'");
  const pathSet = encodeSet(path);
  const userinfoSet = encodeSet(userinfo);

  const hex = (byte) => "%" + (byte < 16 ? "0" : "") + byte.toString(16).toUpperCase();

  function encode(character) {
    const code = character.charCodeAt(0);
    if (code < 0x80) return hex(code);
    let text = "";
    for (const byte of native.utf8(character)) text += hex(byte);
    return text;
  }

  // Looking is several times cheaper than replacing, and most texts have nothing to replace.
  const encodeAll = (text, set) => (text !== "" && set.one.test(text) ? text.replace(set.all, encode) : text);

  const digit = (byte) => (byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66 ? (byte | 0x20) - 0x57 : -1);

  function percentDecode(text) {
    const bytes = native.utf8(text);
    let length = 0;
    for (let i = 0; i < bytes.length; i++) {
      const high = bytes[i] === 0x25 && i + 2 < bytes.length ? digit(bytes[i + 1]) : -1;
      const low = high < 0 ? -1 : digit(bytes[i + 2]);
      if (low < 0) {
        bytes[length++] = bytes[i];
      } else {
        bytes[length++] = high * 16 + low;
        i += 2;
      }
    }
    return bytes.subarray(0, length);
  }

  native.url = { encodeSet, encodeAll, controlSet, fragmentSet, querySet, specialQuerySet, pathSet, userinfoSet, percentDecode };
})
