// The dialect `braincloud`: a program that reads the globals `data` and `bridge`, and whose last expression's value is the decision. It runs as a
// whole in each invocation, as pre-hook, post-hook and post-fail.
(function (native, globals) {
  "use strict";
  const { now, late, after, objectOf, contract, reject, recover, replace, mac, utf8 } = native;
  const { randomUUID } = globals.crypto;
  const { btoa } = globals;
  const SHA1 = 0;
  const SHA256 = 1;
  // As the original's API_CALL_REJECTED, for a bare `false`.
  const REJECTED = 40639;

  // Where the original takes a path, scripts here have names: the path's last part, without its ending.
  const scriptOf = (path) => (typeof path === "string" && path.includes("/") ? path.replace(/^.*\//, "").replace(/\.(js|ccjs|cjs|mjs)$/, "") : path);

  // Names of the scripts that the source includes.
  let included;

  // The arguments of a call, and whether it was made by a flow rather than by a client.
  function message() {
    const message = native.arguments() ?? {};
    if (typeof message === "object" && !Array.isArray(message)) message.ccCall = now.context.flow !== null;
    return message;
  }

  // `ccCall` is ours, so it does not go on to the upstream.
  function override(message) {
    objectOf(message, "`messageOverride` must be an object");
    if (Object.hasOwn(message, "ccCall") && !Reflect.deleteProperty(message, "ccCall")) {
      const { ccCall, ...rest } = message;
      return rest;
    }
    return message;
  }

  function reason() {
    const { code } = now.given;
    return /^-?\d{1,15}$/.test(code) ? Number(code) : code;
  }

  const parms = () => now.context.parms;
  const called = { service: () => native.endpoint()[0], operation: () => native.endpoint()[1] };
  const callingMessage = () => native.arguments();

  const preData = late({ service: () => now.given.connector, operation: () => now.given.endpoint, message, parms });
  const postData = late({
    ...called,
    callingMessage,
    message: () => native.payloadValue(now.given.headers.get("content-type") ?? "application/json"),
    parms,
  });
  const failData = late({ ...called, callingMessage, errorData: () => ({ reasonCode: reason(), errorMessage: now.given.message }), parms });

  function statusOf(answer, absent) {
    const status = answer.status === undefined || answer.status === null ? absent : answer.status;
    if (!Number.isInteger(status) || status < 100 || status > 999) {
      contract(`\`status\` is ${native.kindOf(status)}; it must be a whole number from 100 to 999`);
    }
    return status;
  }

  function failureOf(answer) {
    const { reasonCode, errorMessage } = answer;
    const none = reasonCode === undefined || reasonCode === null;
    if (!none && typeof reasonCode !== "string" && !Number.isSafeInteger(reasonCode)) {
      contract(`\`reasonCode\` is ${native.kindOf(reasonCode)}; it must be a whole number`);
    }
    return { code: none ? undefined : reasonCode, message: errorMessage === undefined || errorMessage === null ? "" : String(errorMessage) };
  }

  function rejection(answer, status) {
    const { code, message } = failureOf(answer);
    return reject(status, message, code);
  }

  function decideBefore(value) {
    if (value === true) return undefined;
    if (value === false) return reject(500, "the call was rejected", REJECTED);
    const answer = objectOf(value, "the script's last value must be an object, or true or false");
    const status = statusOf(answer, 200);
    if (status !== 200) return rejection(answer, status);
    const { messageOverride } = answer;
    return messageOverride === undefined || messageOverride === null ? undefined : override(messageOverride);
  }

  function decideAfter(value) {
    if (value === undefined || value === null) return undefined;
    const answer = objectOf(value, "the script's last value must be an object or null");
    const status = statusOf(answer, 200);
    return status === 200 ? answer.data : rejection(answer, status);
  }

  function decideOnFailure(value) {
    if (value === undefined || value === null) return undefined;
    const answer = objectOf(value, "the script's last value must be an object or null");
    if (Object.keys(answer).length === 0) return undefined;
    const status = statusOf(answer, undefined);
    return status === 200 ? recover(answer.data ?? null) : replace({ status, ...failureOf(answer) });
  }

  const said = (message, more) => (more === undefined ? String(message) : `${message} ${more}`);
  const withJson = (message, value) => said(message, value === undefined ? undefined : JSON.stringify(value));
  const bytes = (text) => utf8(String(text));
  const base64 = (list) => btoa(String.fromCharCode(...list));
  const sign = (algorithm) => (key, text) => base64(mac(algorithm, bytes(key), bytes(text)));
  const generateGuid = () => randomUUID();
  const signHmacSha1 = sign(SHA1);
  const signHmacSha256 = sign(SHA256);
  const quote = JSON.stringify;

  // What a script asks for and is not here is named when it is called.
  const absent = new Proxy(Object.create(null), {
    get(target, name) {
      if (typeof name !== "string" || name === "then" || name === "toJSON") return undefined;
      return () => {
        throw new Error(`bridge.${name} is not available here`);
      };
    },
    has: () => false,
  });

  const bridge = {
    __proto__: absent,
    logInfo: (message, more) => now.context.log.info(said(message, more)),
    logInfoJson: (message, value) => now.context.log.info(withJson(message, value)),
    logWarning: (message, more) => now.context.log.warn(said(message, more)),
    logWarningJson: (message, value) => now.context.log.warn(withJson(message, value)),
    logError: (message, more) => now.context.log.error(said(message, more)),
    logErrorJson: (message, value) => now.context.log.error(withJson(message, value)),
    // Debug lines are for whoever tries a script out.
    logDebug: (message, more) => (now.context.testRun ? now.context.log.debug(said(message, more)) : undefined),
    logDebugJson: (message, value) => (now.context.testRun ? now.context.log.debug(withJson(message, value)) : undefined),
    generateGuid,
    signHmacSha1,
    signHmacSha256,
    utils: () => ({ generateGuid, signHMACSha1: signHmacSha1, signHMACSha256: signHmacSha256 }),
    getScriptName: () => native.scriptName(),
    sleep: (ms) => native.sleep(ms),
    // Scripts that are included are found when the source is deployed, and have run by now.
    include(name) {
      if (included.has(name) || included.has(scriptOf(name))) return;
      throw new Error(`bridge.include(${quote(String(name))}): a script is included in the first lines of the source, by a text`);
    },
  };

  return {
    load(run, names) {
      included = new Set(names);
      native.define(globals, { data: undefined, bridge });
      const hook = (data, decide) => (itsGiven, itsContext) => {
        now.given = itsGiven;
        now.context = itsContext;
        globals.data = data.object;
        return after(run(), decide);
      };
      return { preHook: hook(preData, decideBefore), postHook: hook(postData, decideAfter), postFail: hook(failData, decideOnFailure) };
    },
  };
})
