// Unicode's IdnaTestV2, as hosts of URLs. Rows of the table are lines of that file; what a URL does not ask for (the length of labels,
// hyphens, the narrower set of ASCII) is left out of the statuses, and what no host of a URL may hold is added.
const unescape = (text) =>
  text === '""' ? "" : text.replace(/\\u([0-9A-Fa-f]{4})|\\x\{([0-9A-Fa-f]+)\}/g, (_, four, more) => String.fromCodePoint(parseInt(four ?? more, 16)));
const NOT_ASKED = ["V2", "V3", "A4_1", "A4_2", "U1", "X4_2"];

function expected(columns, source) {
  const unicode = columns[1] === "" ? source : unescape(columns[1]);
  const ascii = columns[3] === "" ? unicode : unescape(columns[3]);
  const statuses = (columns[4] || columns[2] || "").replace(/[\[\] ]/g, "").split(",");
  if (statuses.some((status) => status !== "" && !NOT_ASKED.includes(status))) return { host: null, statuses };
  return { host: ascii === "" || /[\u0000- #%/:<>?@[\\\]^|]|[^\u0000-\u007e]/.test(ascii) ? null : ascii, statuses };
}

// What a failure comes from: a name that should be refused, one that should not, or another name.
function kind(host, found) {
  if (host === null) return "accepted";
  return found === null ? "refused" : "different";
}

export default function (lines) {
  const failed = [];
  let rows = 0;
  for (const line of lines) {
    const columns = line.replace(/#.*$/, "").split(";").map((column) => column.trim());
    const source = unescape(columns[0]);
    // No URL is without a host, a lone surrogate is replaced before, and a number is an address.
    if (columns.length < 5 || source === "" || !source.isWellFormed()) continue;
    const { host, statuses } = expected(columns, source);
    if (/(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$/.test(host ?? "")) continue;
    rows++;
    const found = URL.parse(`https://${source}/x`)?.host ?? null;
    if (found !== host) failed.push(`${kind(host, found)} | ${columns[0]} | ${statuses.join()} | ${found}`);
  }
  return { rows, failed };
}
