// The table of web-platform-tests for the setters of `URL`: by property, what is set on what, and what is then to be read.
export default function (table) {
  const failed = [];
  let rows = 0;
  for (const [property, cases] of Object.entries(table)) {
    if (property === "comment") continue;
    for (const { href, new_value, expected } of cases) {
      const url = new URL(href);
      url[property] = new_value;
      rows++;
      const wrong = Object.keys(expected).filter((part) => url[part] !== expected[part]);
      if (wrong.length > 0) failed.push([property, href, new_value, ...wrong.map((part) => `${part} is ${url[part]}`)].join(" | "));
    }
  }
  return { rows, failed };
}
