// What the Encoding Standard says about `TextEncoder` and `TextDecoder`, and what HTML says about `btoa`.
const bytes = (...list) => new Uint8Array(list);
const decode = (list, options) => new TextDecoder("utf-8", options).decode(bytes(...list));
const encode = (text) => [...new TextEncoder().encode(text)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
// Sequences that are no UTF-8, and what each becomes: one replacement for each longest part of a valid one.
const BROKEN = [
  ["a byte that begins nothing", [0xff], "\ufffd"],
  ["a byte that goes on with nothing", [0x80], "\ufffd"],
  ["an overlong slash of two", [0xc0, 0xaf], "\ufffd\ufffd"],
  ["an overlong slash of three", [0xe0, 0x80, 0xaf], "\ufffd\ufffd\ufffd"],
  ["an overlong slash of four", [0xf0, 0x80, 0x80, 0xaf], "\ufffd\ufffd\ufffd\ufffd"],
  ["an overlong NUL", [0xc0, 0x80], "\ufffd\ufffd"],
  ["a surrogate", [0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"],
  ["a pair of surrogates", [0xed, 0xa0, 0xbd, 0xed, 0xb2, 0xa9], "\ufffd".repeat(6)],
  ["beyond the last code point", [0xf4, 0x90, 0x80, 0x80], "\ufffd".repeat(4)],
  ["five bytes", [0xf8, 0x88, 0x80, 0x80, 0x80], "\ufffd".repeat(5)],
  ["a cut of two", [0xc3], "\ufffd"],
  ["a cut of three", [0xe6, 0x97], "\ufffd"],
  ["a cut of four", [0xf0, 0x9f, 0x98], "\ufffd"],
  ["a cut before a letter", [0xf0, 0x9f, 0x41], "\ufffdA"],
  ["a cut before another beginning", [0xe6, 0xc3, 0xa9], "\ufffdé"],
  ["letters around", [0x41, 0xff, 0x42], "A\ufffdB"],
];

// What is checked, what comes, and what must.
export default () => run([
  ...BROKEN.map(([what, list, expected]) => [`decodes ${what}`, () => decode(list), expected]),
  ...BROKEN.map(([what, list]) => [`refuses ${what} when fatal`, () => threw(() => decode(list, { fatal: true })), "TypeError"]),
  ["encodes every length", () => encode("a\x7f\x80é\u07ff\u0800日\uffff😀\u{10ffff}"), "61 7f c2 80 c3 a9 df bf e0 a0 80 e6 97 a5 ef bf bf f0 9f 98 80 f4 8f bf bf"],
  ["encodes lone surrogates", () => encode("\ud800x\udc00"), "ef bf bd 78 ef bf bd"],
  ["encodes nothing", () => [new TextEncoder().encode().length, new TextEncoder().encode(undefined).length].join(), "0,0"],
  ["encodes what is no text", () => encode(null), "6e 75 6c 6c"],
  ["encodes into a fresh array", () => new TextEncoder().encode("a") instanceof Uint8Array, true],
  ["is utf-8", () => [new TextEncoder().encoding, new TextDecoder().encoding, new TextDecoder("UTF8").encoding].join(), "utf-8,utf-8,utf-8"],
  ["encodes into a whole", () => {
    const target = new Uint8Array(10);
    const { read, written } = new TextEncoder().encodeInto("aé日😀", target);
    return [read, written, ...target].join();
  }, "5,10,97,195,169,230,151,165,240,159,152,128"],
  ["encodes into too little", () => {
    const target = new Uint8Array(4);
    const { read, written } = new TextEncoder().encodeInto("a😀b", target);
    return [read, written, ...target].join();
  }, "1,1,97,0,0,0"],
  ["encodes lone surrogates into", () => {
    const target = new Uint8Array(3);
    const { read, written } = new TextEncoder().encodeInto("\ud800", target);
    return [read, written, ...target].join();
  }, "1,3,239,191,189"],
  ["encodes into bytes only", () => threw(() => new TextEncoder().encodeInto("a", new ArrayBuffer(4))), "TypeError"],
  ["refuses to be called", () => [threw(() => TextEncoder()), threw(() => TextDecoder())].join(), "TypeError,TypeError"],
  ["decodes every length", () => decode([0x61, 0xc3, 0xa9, 0xe6, 0x97, 0xa5, 0xf0, 0x9f, 0x98, 0x80]), "aé日😀"],
  ["decodes nothing", () => new TextDecoder().decode() + new TextDecoder().decode(undefined), ""],
  ["decodes a buffer", () => new TextDecoder().decode(bytes(0x41, 0x42).buffer), "AB"],
  ["decodes a part", () => new TextDecoder().decode(new Uint8Array(bytes(0x41, 0x42, 0x43).buffer, 1, 1)), "B"],
  ["decodes other views", () => new TextDecoder().decode(new DataView(bytes(0x41, 0x42).buffer)) + new TextDecoder().decode(new Uint16Array([0x4241])), "ABAB"],
  ["refuses text", () => threw(() => new TextDecoder().decode("a")), "TypeError"],
  ["drops the mark", () => decode([0xef, 0xbb, 0xbf, 0x41]), "A"],
  ["drops one mark only", () => decode([0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf]), "\ufeff"],
  ["keeps the mark when told", () => decode([0xef, 0xbb, 0xbf, 0x41], { ignoreBOM: true }), "\ufeffA"],
  ["shows its options", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: 1 });
    return [decoder.fatal, decoder.ignoreBOM, new TextDecoder().fatal].join();
  }, "true,true,false"],
  ["knows its labels", () => ["unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "utf-8", "utf8", "x-unicode20utf8", " UTF-8\n", "\tutf8 "].map((label) => new TextDecoder(label).encoding).join(), Array(8).fill("utf-8").join()],
  ["refuses unknown labels", () => ["", "utf-7", "utf_8", "ut\0f8", "\u00a0utf-8", "utf-8\u3000"].map((label) => threw(() => new TextDecoder(label))).join(), Array(6).fill("RangeError").join()],
  ["knows other encodings", () => new TextDecoder("utf-16le").encoding + new TextDecoder("latin1").encoding, "utf-16lewindows-1252"],
  ["decodes a stream", () => {
    const decoder = new TextDecoder();
    return [[0xf0], [0x9f, 0x98], [0x80, 0x41, 0xc3]].map((list) => decoder.decode(bytes(...list), { stream: true })).join("|") + "|" + decoder.decode();
  }, "||😀A|\ufffd"],
  ["drops the mark of a stream", () => {
    const decoder = new TextDecoder();
    return [[0xef], [0xbb], [0xbf, 0x41], [0xef, 0xbb, 0xbf]].map((list) => decoder.decode(bytes(...list), { stream: true })).join("|");
  }, "||A|\ufeff"],
  ["begins anew after a stream", () => {
    const decoder = new TextDecoder();
    decoder.decode(bytes(0xef, 0xbb, 0xbf, 0x41));
    return decoder.decode(bytes(0xef, 0xbb, 0xbf, 0x42));
  }, "B"],
  ["refuses the cut end of a stream", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    decoder.decode(bytes(0xc3), { stream: true });
    return threw(() => decoder.decode());
  }, "TypeError"],
  ["begins anew after a refusal", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    threw(() => decoder.decode(bytes(0x41, 0xff), { stream: true }));
    return decoder.decode(bytes(0xef, 0xbb, 0xbf, 0x42));
  }, "B"],
  ["refuses within a stream", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    decoder.decode(bytes(0xe6), { stream: true });
    return threw(() => decoder.decode(bytes(0x41), { stream: true }));
  }, "TypeError"],
  ["has tags", () => [new TextEncoder(), new TextDecoder()].map((it) => Object.prototype.toString.call(it)).join(), "[object TextEncoder],[object TextDecoder]"],
  ["btoa writes bytes", () => [btoa(""), btoa("a"), btoa("ab"), btoa("abc"), btoa("\x00\xff")].join(), ",YQ==,YWI=,YWJj,AP8="],
  ["btoa takes what is no text", () => [btoa(null), btoa(undefined), btoa(1.5), btoa(true)].join(), "bnVsbA==,dW5kZWZpbmVk,MS41,dHJ1ZQ=="],
  ["btoa refuses beyond bytes", () => [threw(() => btoa("日")), threw(() => btoa("\u0100"))].join(), "InvalidCharacterError,InvalidCharacterError"],
  ["btoa and atob need arguments", () => [threw(() => btoa()), threw(() => atob())].join(), "TypeError,TypeError"],
  ["atob takes what is no text", () => [atob(null), threw(() => atob(undefined)), atob(1234)].join(), "\x9e\xe9\x65,InvalidCharacterError,\xd7\x6d\xf8"],
]);
