// The dialect `prismatic`: `module.exports = async (context, stepResults or payload) => …`, as step and as trigger. One function is either.
(function (native) {
  "use strict";
  const { now, late, after, objectOf, contract } = native;
  // As they are before any script: one that puts others in their place breaks its own doing, and not what is done with it.
  const { keys: keysOf, entries, hasOwn, defineProperty, fromEntries } = Object;
  const { stringify } = JSON;

  let entry;

  const customer = () => ({ id: now.context.tenant, externalId: now.context.tenant, name: now.context.tenant });
  const instance = () => ({ id: now.context.tenant, name: now.context.tenant });
  const flow = () => ({ id: now.context.flow, stableId: now.context.flow, name: now.context.flow });
  const integration = () => lack({ id: now.context.flow, name: now.context.flow }, "integration", ["versionSequenceId", "externalVersion"]);
  const circumstances = { executionId: () => now.context.runId, customer, instance, flow, integration, startedAt: () => now.context.startedAt };

  // Where the four states lie. The tenant's holds two of them: one under a beginning of its own.
  const INTEGRATION = "integrationState/";
  const integrationKeys = (own) => now.context.state.tenant.keys().filter((key) => key.startsWith(INTEGRATION) === own);
  const STATES = {
    executionState: { values: () => now.context.variables, keys: () => keysOf(now.context.variables), key: (name) => name },
    instanceState: { values: () => now.context.state.flow, keys: () => now.context.state.flow.keys(), key: (name) => name },
    crossFlowState: { values: () => now.context.state.tenant, keys: () => integrationKeys(false), key: (name) => name },
    integrationState: {
      values: () => now.context.state.tenant,
      keys: () => integrationKeys(true).map((key) => key.slice(INTEGRATION.length)),
      key: (name) => INTEGRATION + name,
    },
  };

  const STATE_NAMES = keysOf(STATES);

  // A state as a plain object, read where the script first looks at it; what it was then is kept to find out what changed.
  function readState(name) {
    const { values, keys, key } = STATES[name];
    const [kept, object, before] = [values(), {}, new Map()];
    for (const each of keys()) {
      const value = name === "executionState" ? kept[each] : kept.get(key(each));
      defineProperty(object, each, { value, writable: true, enumerable: true, configurable: true });
      before.set(each, stringify(value));
    }
    now.states ??= {};
    now.states[name] = before;
    return object;
  }

  function writeState(name, each, value) {
    const { values, key } = STATES[name];
    if (name !== "executionState") values().set(key(each), value);
    else if (value === undefined) delete values()[each];
    else values()[each] = value;
  }

  // Writes what a script made of a state in place, or of an object that it put there.
  function keepState(name, wanted) {
    if (now.states?.[name] === undefined) readState(name);
    const before = now.states[name];
    objectOf(wanted, `\`${name}\` must be an object`);
    for (const each of before.keys()) if (!hasOwn(wanted, each)) writeState(name, each, undefined);
    for (const [each, value] of entries(wanted)) if (stringify(value) !== before.get(each)) writeState(name, each, value);
  }

  // Writes the states that the script changed. What it returned of one comes on top of it, key by key.
  function keepStates(returned) {
    for (let i = 0; i < STATE_NAMES.length; i++) {
      const name = STATE_NAMES[i];
      if (itsContext.seen(name)) keepState(name, itsContext.object[name] ?? {});
      const more = returned?.[name];
      if (more === undefined || more === null) continue;
      for (const [each, value] of entries(objectOf(more, `\`${name}\` must be an object`))) writeState(name, each, value);
    }
  }

  const states = fromEntries(keysOf(STATES).map((name) => [name, () => readState(name)]));

  // A connection as it is elsewhere: its fields, and beside them its token. Under its name it stands among the configuration.
  function connectionOf({ name, access_token, ...fields }) {
    return { key: name, configVarKey: name, fields, token: access_token === undefined ? undefined : { access_token }, context: {} };
  }

  function configVars() {
    const connection = now.context.connection;
    return connection === undefined ? now.context.config : { ...now.context.config, [connection.name]: connectionOf(connection) };
  }

  const itsContext = late({
    logger: () => now.context.log,
    configVars,
    stepId: () => now.context.step,
    ...circumstances,
    ...states,
  });
  // Copying a context does not read them.
  for (const name of keysOf(STATES)) defineProperty(itsContext.object, name, { enumerable: false });

  // Members that scripts elsewhere have and that nothing stands for here: to name them is better than to give nothing.
  function lack(object, shown, names) {
    for (const name of names) {
      defineProperty(object, name, {
        get() {
          throw new Error(`${shown}.${name} is not available here`);
        },
        enumerable: false,
        configurable: true,
      });
    }
    return object;
  }

  // What a context and a trigger's payload both have elsewhere.
  const ELSEWHERE = ["user", "invokeUrl", "webhookUrls", "webhookApiKeys"];
  const OF_CONTEXT = ["components", "invokeFlow", "executionFrame", "debug", "flowSchemas", "isSimulatedTestExecution", "batch"];
  lack(itsContext.object, "context", [...ELSEWHERE, ...OF_CONTEXT]);

  // `stepResults.NAME.results`: what is asked for is read, and nothing else.
  const has = (name) => typeof name === "string" && hasOwn(now.context.stepResults, name);
  const resultOf = (target, name) => {
    if (!hasOwn(target, name) && has(name)) target[name] = { results: now.context.stepResults[name] };
    return target[name];
  };
  const stepResults = new Proxy(Object.create(null), {
    get: resultOf,
    has: (target, name) => hasOwn(target, name) || has(name),
    ownKeys: () => keysOf(now.context.stepResults),
    getOwnPropertyDescriptor(target, name) {
      return resultOf(target, name) === undefined ? undefined : Reflect.getOwnPropertyDescriptor(target, name);
    },
  });

  const contentType = () => now.given.headers.get("content-type") ?? "";

  // The body as its media type has it; what is not what it says it is stays text.
  function parsedBody() {
    const type = contentType();
    if (type === "" || type.startsWith("application/x-www-form-urlencoded")) return native.bodyText();
    try {
      return native.bodyValue(type);
    } catch {
      return native.bodyText();
    }
  }

  const rawBody = late({ data: () => now.given.bytes(), contentType });
  const body = late({ data: parsedBody, contentType });
  const payload = late({
    headers: () => native.anyCase(native.plainHeaders(now.given.headers)),
    queryParameters: () => now.given.query,
    rawBody: () => rawBody.object,
    body: () => body.object,
    pathFragment: () => now.given.path,
    ...circumstances,
  });
  lack(payload.object, "payload", [...ELSEWHERE, "globalDebug"]);

  // Members of an answer that would have meant something elsewhere are refused; without a value they mean nothing there either.
  function onlyOf(known, answer, shown) {
    // By index, here and below: this is done in every invocation, and an iterator costs more than the rest of it.
    const names = keysOf(answer);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (known.names[name] === undefined && answer[name] !== undefined) {
        contract(`${shown} has \`${name}\`, which is not available here; it may have ${known.shown}`);
      }
    }
    return answer;
  }

  const membersOf = (list) => ({ names: { __proto__: null, ...fromEntries(list.map((name) => [name, true])) }, shown: list.join(", ") });
  const OF_STEP = membersOf(["data", "contentType", "statusCode", "headers", ...keysOf(STATES)]);
  const OF_TRIGGER = membersOf(["payload", "response", ...keysOf(STATES)]);
  const OF_RESPONSE = membersOf(["statusCode", "contentType", "headers", "body"]);

  function step(returned) {
    if (returned !== undefined && returned !== null) {
      onlyOf(OF_STEP, objectOf(returned, "the script must return an object with `data`"), "what a step returns");
    }
    keepStates(returned);
    return returned?.data;
  }

  function responseOf(response) {
    if (response === undefined || response === null) return undefined;
    onlyOf(OF_RESPONSE, objectOf(response, "`response` must be an object with statusCode, contentType, headers and body"), "`response`");
    const { statusCode, contentType, headers, body } = response;
    const all = new Headers(headers ?? {});
    if (contentType !== undefined && contentType !== null) all.set("content-type", String(contentType));
    return { status: statusCode ?? 200, headers: all, body };
  }

  function trigger(returned) {
    if (returned !== undefined && returned !== null) {
      const wanted = "the script must return an object with `payload`, and `response` if it answers";
      onlyOf(OF_TRIGGER, objectOf(returned, wanted), "what a trigger returns");
    }
    keepStates(returned);
    const response = responseOf(returned?.response);
    return returned?.payload === undefined && response === undefined ? undefined : { payload: returned?.payload, response };
  }

  function hook(second, next) {
    return (itsGiven, circumstances) => {
      now.given = itsGiven;
      now.context = circumstances;
      return after(entry(itsContext.object, second), next);
    };
  }

  return {
    head: native.commonJs,
    tail: "})",
    lack: "the script exports no function; set `module.exports` to one of `context` and `stepResults`, or `payload` in a trigger",
    load(run) {
      entry = native.commonJsEntry(run);
      return entry === undefined ? {} : { default: hook(stepResults, step), trigger: hook(payload.object, trigger) };
    },
  };
})
