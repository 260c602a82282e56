// The table of web-platform-tests for the forgiving decoder: text, and the bytes that come of it; null where none do.
function check(text, bytes) {
  let decoded;
  try {
    decoded = atob(text);
  } catch (error) {
    return bytes === null && error.name === "InvalidCharacterError" ? null : `throws ${error}`;
  }
  if (bytes === null) return `gives ${JSON.stringify(decoded)}`;
  if (decoded !== String.fromCharCode(...bytes)) return `gives ${JSON.stringify(decoded)}`;
  return atob(btoa(decoded)) === decoded ? null : "does not come back";
}

export default function (table) {
  const failed = table.map(([text, bytes]) => [JSON.stringify(text), check(text, bytes)]).filter(([, wrong]) => wrong !== null);
  return { rows: table.length, failed: failed.map((row) => row.join(" | ")) };
}
