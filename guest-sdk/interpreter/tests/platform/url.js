// The table of web-platform-tests for the URL parser: input and base, and every part of what comes of them.
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

function parsed({ input, base }) {
  try {
    return new URL(input, base ?? undefined);
  } catch (error) {
    return error instanceof TypeError ? null : error;
  }
}

function differences(row) {
  const url = parsed(row);
  const base = row.base ?? undefined;
  if (row.failure) return url === null && !URL.canParse(row.input, base) ? [] : [`gives ${url?.href ?? url}`];
  if (!(url instanceof URL)) return [`gives ${url}`];
  return PARTS.filter((part) => part in row && url[part] !== row[part]).map((part) => `${part} is ${url[part]}`);
}

export default function (table) {
  const rows = table.filter((row) => typeof row !== "string");
  const failed = rows.map((row) => [row.input, ...differences(row)]).filter((row) => row.length > 1);
  return { rows: rows.length, failed: failed.map((row) => row.join(" | ")) };
}
