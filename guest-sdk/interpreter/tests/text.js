// TextEncoder, TextDecoder, atob and btoa.
function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

function throws(run, kind, what) {
  try {
    run();
  } catch (error) {
    equal(error.name, kind, what);
    return;
  }
  throw new Error(`${what} did not throw`);
}

const bytes = (...values) => new Uint8Array(values);

function encoding() {
  const encoder = new TextEncoder();
  equal(encoder.encoding, "utf-8", "encoding");
  equal(encoder.encode("aé€😀\ud800").join(), "97,195,169,226,130,172,240,159,152,128,239,191,189", "encode");
  equal(encoder.encode().length, 0, "nothing");
  const target = new Uint8Array(4);
  equal(JSON.stringify(encoder.encodeInto("a€😀", target)), '{"read":2,"written":4}', "encodeInto");
}

function decoding() {
  const decode = (...values) => new TextDecoder().decode(bytes(...values));
  equal(decode(97, 195, 169, 226, 130, 172, 240, 159, 152, 128), "aé€😀", "decode");
  equal(decode(0xef, 0xbb, 0xbf, 97), "a", "the mark goes");
  equal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes(0xef, 0xbb, 0xbf, 97)), "\ufeffa", "the mark stays");
  equal(decode(0xff, 97), "\ufffda", "a byte that never occurs");
  equal(decode(0xe2, 0x82), "\ufffd", "cut off");
  equal(decode(0xe2, 0x82, 97), "\ufffda", "a sequence broken in the middle is one mark");
  equal(decode(0xc0, 0x80), "\ufffd\ufffd", "overlong");
  equal(decode(0xed, 0xa0, 0x80), "\ufffd\ufffd\ufffd", "a surrogate");
  equal(decode(0xf0, 0x9f, 0x98), "\ufffd", "three of four");
  equal(decode(0xf4, 0x90, 0x80, 0x80), "\ufffd\ufffd\ufffd\ufffd", "beyond Unicode");
  equal(new TextDecoder().decode(bytes(97).buffer), "a", "ArrayBuffer");
  equal(new TextDecoder().decode(new Uint16Array([0x6261])), "ab", "view");
  equal(new TextDecoder().decode(), "", "nothing");
  throws(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes(0xff)), "TypeError", "fatal");
  equal(new TextDecoder("utf-8", { fatal: true }).decode(bytes(0xc3, 0xa9)), "é", "fatal and right");
  throws(() => new TextDecoder("utf-16"), "RangeError", "another encoding");
  equal(new TextDecoder(" UTF8 ").encoding, "utf-8", "label");
}

function streaming() {
  const decoder = new TextDecoder();
  let text = "";
  for (const byte of new TextEncoder().encode("\ufeffa€😀b")) text += decoder.decode(bytes(byte), { stream: true });
  text += decoder.decode();
  equal(text, "a€😀b", "byte by byte");
  equal(decoder.decode(bytes(0xe2), { stream: true }) + decoder.decode(), "\ufffd", "an end in the middle");
}

function base64() {
  equal(btoa("hällo"), "aORsbG8=", "btoa");
  equal(atob("aORsbG8="), "hällo", "atob");
  equal(atob(" aGk "), "hi", "white space");
  throws(() => btoa("€"), "InvalidCharacterError", "btoa of a wide character");
  throws(() => atob("a"), "InvalidCharacterError", "atob of a broken text");
}

export default function () {
  encoding();
  decoding();
  streaming();
  base64();
}
