// The dialect `patchworks`: one function of `data`, as pre-request, post-request and step.
(function (native) {
  "use strict";
  const { now, late, after, objectOf, contract, payload, proceed, retry, retryRun, fail, reauthenticate } = native;

  // As they are before any script: one that puts others in their place breaks its own doing, and not what is done with it.
  const { keys: keysOf, entries, hasOwn } = Object;

  // Beside what the hook was given, `now` holds what came, for finding out what a script changed.
  let entry;

  const text = () => (now.body === undefined ? (now.body = native.bodyText()) : now.body);
  const textOrNull = () => (text() === "" ? null : text());

  // What was set up for the script where it is used, as texts, over what the connection gives: its fields, under the names that they have
  // elsewhere too.
  const ELSEWHERE = { api_key: "app_key", api_secret: "app_secret" };

  function variables() {
    const texts = {};
    for (const [name, value] of Object.entries(now.context.connection ?? {})) {
      texts[name] = typeof value === "string" ? value : JSON.stringify(value);
      if (ELSEWHERE[name] !== undefined) texts[ELSEWHERE[name]] = texts[name];
    }
    for (const [name, value] of entries(now.context.parms)) texts[name] = typeof value === "string" ? value : JSON.stringify(value);
    return texts;
  }

  function meta() {
    now.meta = { ...now.context.meta };
    return { ...now.meta };
  }

  const flow = () => ({ variables: now.context.variables });
  const common = { payload: textOrNull, variables, meta, flow };

  const response = late({
    headers: () => native.anyCase(native.plainHeaders(now.given.headers)),
    body: text,
    status: () => now.given.status,
  });

  function headers() {
    now.headers = native.plainHeaders(now.given.headers);
    return native.anyCase({ ...now.headers });
  }

  // The parameters of the URL: name to text, or to a list where a name comes more than once.
  function parameters() {
    const found = {};
    for (const [name, value] of new URL(now.given.url).searchParams) {
      found[name] = !hasOwn(found, name) ? value : Array.isArray(found[name]) ? [...found[name], value] : [found[name], value];
    }
    now.parameters = JSON.stringify(found);
    return found;
  }

  const stepData = late(common);
  const responseData = late({ ...common, response: () => response.object });
  const requestData = late({ ...common, body: textOrNull, headers, parameters, url: () => now.given.url, method: () => now.given.method });

  const isScalar = (value) => typeof value === "string" || typeof value === "number" || typeof value === "boolean";

  // Bytes as UTF-8, which the limit of `meta` counts in.
  function bytesOf(text) {
    let bytes = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text[i];
      const next = text[i + 1];
      if (unit < "\u0080") bytes += 1;
      else if (unit < "\u0800") bytes += 2;
      else if (unit >= "\ud800" && unit < "\udc00" && next >= "\udc00" && next < "\ue000") {
        bytes += 4;
        i++;
      } else bytes += 3;
    }
    return bytes;
  }

  // All of `meta` together has a limit, and what counts is what is there in the end: so what goes and what shrinks comes first.
  function keepMeta(wanted) {
    if (wanted === undefined || wanted === null) return;
    objectOf(wanted, "`meta` must be an object of texts");
    if (now.meta === undefined) meta();
    const kept = now.context.meta;
    const before = keysOf(now.meta);
    for (let i = 0; i < before.length; i++) if (!hasOwn(wanted, before[i])) delete kept[before[i]];
    const names = keysOf(wanted);
    const larger = { __proto__: null };
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      const value = wanted[name];
      if (value === null || value === undefined) {
        delete kept[name];
        continue;
      }
      if (!isScalar(value)) contract(`meta.${name} must be text, not ${native.kindOf(value)}`);
      const text = `${value}`;
      const old = hasOwn(now.meta, name) ? now.meta[name] : undefined;
      if (text === old) continue;
      if (old !== undefined && bytesOf(text) <= bytesOf(old)) kept[name] = text;
      else larger[name] = text;
    }
    const grown = keysOf(larger);
    for (let i = 0; i < grown.length; i++) kept[grown[i]] = larger[grown[i]];
  }

  // Variables are set as a script sets them; here only those of an object that it made itself are left.
  function keepFlow(wanted) {
    const values = wanted?.variables;
    if (values === undefined || values === null || values === now.context.variables) return;
    objectOf(values, "`flow.variables` must be an object");
    for (const name of keysOf(now.context.variables)) if (!hasOwn(values, name)) delete now.context.variables[name];
    for (const [name, value] of entries(values)) if (value !== now.context.variables[name]) now.context.variables[name] = value;
  }

  function writeLogs(logs) {
    if (logs === undefined || logs === null) return;
    if (!Array.isArray(logs)) contract(`\`logs\` must be a list of texts, not ${native.kindOf(logs)}`);
    for (const line of logs) now.context.log.info(line);
  }

  // What every hook takes from what was returned. `touched` tells whether a member may differ from what the script was given.
  function keep(data, returned) {
    objectOf(returned, "the script must return `data`");
    const touched = (name) => returned !== data.object || data.seen(name);
    if (touched("meta")) keepMeta(returned.meta);
    if (touched("flow")) keepFlow(returned.flow);
    writeLogs(returned.logs);
    return touched;
  }

  // The payload that goes on in place of the one that came; undefined where that is the same.
  function changedPayload(returned, touched) {
    const value = touched("payload") ? returned.payload : undefined;
    if (value === undefined || value === textOrNull()) return undefined;
    return payload(value === null ? "" : value);
  }

  function decide(returned) {
    const touched = keep(responseData, returned);
    const { response_code: code, message } = returned;
    const changed = changedPayload(returned, touched);
    const said = message === null ? undefined : message;
    if (said !== undefined && typeof said !== "string") contract(`\`message\` must be text, not ${native.kindOf(said)}`);
    if (said !== undefined) now.context.log.info(said);
    switch (code) {
      case undefined:
      case null:
        return changed;
      case 0:
        return proceed(changed);
      case 1:
        return retry(said);
      case 2:
        return retryRun(said);
      case 3:
        return fail(said);
      case 4:
        return reauthenticate(said);
      default:
        return contract(`\`response_code\` is ${native.kindOf(code)}; it must be 0, 1, 2, 3 or 4`);
    }
  }

  function setHeaders(wanted) {
    objectOf(wanted, "`headers` must be an object");
    if (now.headers === undefined) headers();
    const names = new Map(keysOf(wanted).map((name) => [name.toLowerCase(), wanted[name]]));
    for (const name of keysOf(now.headers)) if (!names.has(name)) now.given.headers.delete(name);
    for (const [name, value] of names) {
      if (Array.isArray(value) || value === null || value === undefined) {
        now.given.headers.delete(name);
        for (const one of value ?? []) now.given.headers.append(name, String(one));
      } else if (!isScalar(value)) contract(`headers[${JSON.stringify(name)}] must be text, not ${native.kindOf(value)}`);
      else if (String(value) !== now.headers[name]) now.given.headers.set(name, String(value));
    }
  }

  function setParameters(wanted) {
    objectOf(wanted, "`parameters` must be an object");
    if (JSON.stringify(wanted) === now.parameters) return;
    const url = new URL(now.given.url);
    const search = new URLSearchParams();
    for (const [name, value] of entries(wanted)) {
      for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined) search.append(name, String(one));
    }
    url.search = search.toString();
    now.given.url = url.href;
  }

  function setRequest(returned) {
    const touched = keep(requestData, returned);
    if (touched("method") && returned.method !== undefined) now.given.method = returned.method;
    if (touched("url") && returned.url !== undefined) now.given.url = returned.url;
    if (touched("headers") && returned.headers !== undefined) setHeaders(returned.headers);
    if (touched("parameters") && returned.parameters !== undefined) setParameters(returned.parameters);
    let body = touched("body") ? returned.body : undefined;
    if (body === undefined || body === textOrNull()) body = touched("payload") ? returned.payload : undefined;
    if (body !== undefined && body !== textOrNull()) now.given.body = body;
  }

  // A step goes on with its payload; what `response_code` and `message` say belongs to responses.
  const step = (returned) => changedPayload(returned, keep(stepData, returned));

  function hook(data, next) {
    return (itsGiven, itsContext) => {
      now.given = itsGiven;
      now.context = itsContext;
      return after(entry(data.object), next);
    };
  }

  return {
    head: native.commonJs,
    tail: 'return typeof handle === "function" ? handle : undefined;\n})',
    lack: "the script has no entry; define `function handle(data)`, or set `module.exports` to a function",
    load(run) {
      entry = native.commonJsEntry(run);
      return entry === undefined
        ? {}
        : { preRequest: hook(requestData, setRequest), postRequest: hook(responseData, decide), default: hook(stepData, step) };
    },
  };
})
