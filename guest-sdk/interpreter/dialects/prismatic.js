// The dialect `prismatic`: `module.exports = async (context, stepResults or payload) => …`, as step and as trigger. One function is either.
(function (native) {
  "use strict";
  const { now, late, after, objectOf, contract } = native;

  let entry;

  const customer = () => ({ id: now.context.tenant, externalId: now.context.tenant, name: now.context.tenant });
  const instance = () => ({ id: now.context.tenant, name: now.context.tenant });
  const flow = () => ({ id: now.context.flow, stableId: now.context.flow, name: now.context.flow });
  const integration = () => ({ id: now.context.flow, name: now.context.flow });
  const circumstances = { executionId: () => now.context.runId, customer, instance, flow, integration, startedAt: () => now.context.startedAt };

  const itsContext = late({ logger: () => now.context.log, configVars: () => now.context.config, stepId: () => now.context.step, ...circumstances });

  // Members that scripts elsewhere have and that nothing stands for here: to name them is better than to give nothing.
  const STATES = ["instanceState", "crossFlowState", "integrationState", "executionState"];
  for (const name of [...STATES, "components", "invokeFlow", "invokeUrl", "webhookUrls", "webhookApiKeys"]) {
    Object.defineProperty(itsContext.object, name, {
      get() {
        throw new Error(`context.${name} is not available here`);
      },
      enumerable: false,
      configurable: true,
    });
  }

  // `stepResults.NAME.results`: what is asked for is read, and nothing else.
  const has = (name) => typeof name === "string" && Object.hasOwn(now.context.stepResults, name);
  const resultOf = (target, name) => {
    if (!Object.hasOwn(target, name) && has(name)) target[name] = { results: now.context.stepResults[name] };
    return target[name];
  };
  const stepResults = new Proxy(Object.create(null), {
    get: resultOf,
    has: (target, name) => Object.hasOwn(target, name) || has(name),
    ownKeys: () => Object.keys(now.context.stepResults),
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

  function refuseStates(returned) {
    for (const name of STATES) if (returned[name] !== undefined) contract(`the script returned \`${name}\`, which is not available here`);
  }

  function step(returned) {
    if (returned === undefined || returned === null) return undefined;
    refuseStates(objectOf(returned, "the script must return an object with `data`"));
    return returned.data;
  }

  function responseOf(response) {
    if (response === undefined || response === null) return undefined;
    objectOf(response, "`response` must be an object with statusCode, contentType, headers and body");
    const { statusCode, contentType, headers, body } = response;
    const all = new Headers(headers ?? {});
    if (contentType !== undefined && contentType !== null) all.set("content-type", String(contentType));
    return { status: statusCode ?? 200, headers: all, body };
  }

  function trigger(returned) {
    if (returned === undefined || returned === null) return undefined;
    refuseStates(objectOf(returned, "the script must return an object with `payload`, and `response` if it answers"));
    const response = responseOf(returned.response);
    return returned.payload === undefined && response === undefined ? undefined : { payload: returned.payload, response };
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
