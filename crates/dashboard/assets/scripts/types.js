// What the SDK's types say, read off their text: interfaces with members, functions, and what stands in the comments above them.

/** By dialect: the file, and what a script of it finds under which name. */
const FILES = { native: "snaphook.d.ts", patchworks: "patchworks.d.ts", braincloud: "braincloud.d.ts", prismatic: "prismatic.d.ts" };

const read = new Map();

/** `{interfaces: Map(name → members), functions, globals}` of a dialect; what is missing is empty. Asked for once. */
export function typesOf(dialect) {
  if (!read.has(dialect)) read.set(dialect, load(dialect));
  return read.get(dialect);
}

async function load(dialect) {
  const names = new Set([FILES.native, FILES[dialect] ?? FILES.native]);
  const texts = await Promise.all([...names].map(async (name) => {
    const response = await fetch(`/dashboard/vendor/${name}`);
    return response.ok ? response.text() : "";
  }));
  return parse(texts.join("\n"));
}

/** Reads declarations line by line; enough for files that are written in one style, as ours are. */
export function parse(text) {
  const found = { interfaces: new Map(), functions: [], globals: [] };
  let members = null;
  let doc = [];
  let depth = 0;
  for (const line of text.split("\n").map((line) => line.trim())) {
    if (/^(\/\*\*|\*)/.test(line)) {
      if (line.startsWith("/**")) doc = [];
      const words = line.replace(/^\/\*\*\s?|^\*\/?\s?|\s*\*\/$/g, "");
      if (words) doc.push(words);
      continue;
    }
    const about = doc.join(" ");
    const begins = /^(?:export |declare )*interface (\w+)/.exec(line);
    if (begins && line.endsWith("{")) {
      const parent = /extends (\w+)/.exec(line)?.[1];
      members = found.interfaces.get(begins[1]) ?? [...(found.interfaces.get(parent) ?? [])];
      found.interfaces.set(begins[1], members);
      depth = 0;
    } else if (members) {
      const member = depth === 0 && memberOf(line, about);
      // A pair of accessors is one member.
      if (member && !members.some((one) => one.name === member.name)) members.push(member);
      depth += count(line, "{") - count(line, "}");
      if (depth < 0) members = null;
    } else {
      declaration(line, about, found);
    }
    if (line) doc = [];
  }
  return found;
}

function count(line, letter) {
  return line.split(letter).length - 1;
}

/** `readonly name?: Type;`, `name(parameters): Type;`, `get name(): Type;`. */
function memberOf(line, doc) {
  const match = /^(?:readonly )?(?:get |set )?(\w+)\??(?=[<(:])(<[^>]*>)?(.*?);?$/.exec(line);
  if (!match) return null;
  const [, name, , rest] = match;
  const accessor = /^(?:get|set) /.test(line);
  const method = rest.startsWith("(") && !accessor;
  return { name, method, doc, detail: method ? rest : rest.replace(/^\(\)?.*?\)?:\s*|^:\s*/, ""), type: typeIn(rest) };
}

/** What a member gives, as far as a name says it. */
function typeIn(rest) {
  return /:\s*(?:Readonly<)?(\w+)[^:]*$/.exec(rest)?.[1] ?? null;
}

function declaration(line, doc, found) {
  const called = /^export function (\w+)(?:<[^>]*>)?(\(.*)$/.exec(line);
  if (called) found.functions.push({ name: called[1], detail: called[2].replace(/;$/, "").replace(/\{$/, "{…})"), doc });
  const global = /^declare (?:var|const|function) (\w+)(?::\s*(\w+))?/.exec(line);
  if (global) found.globals.push({ name: global[1], type: global[2] ?? global[1], doc });
}
