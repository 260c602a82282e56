// The contract's behaviour in JavaScript. `guest.ts` and `rust` do the same.

import { fail, proceed, reauthenticate, recover, reject, replace, respond, retry, retryRun } from "snaphook";

let invocations = 0;

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function unknown(act) {
  throw new Error(`no such act: ${act}`);
}

export function preHook(call, context) {
  const { act, code } = context.parms;
  switch (act) {
    case "keep":
      return;
    case "change":
      call.arguments.seen = { connector: call.connector, endpoint: call.endpoint };
      return;
    case "replace":
      return { only: call.arguments.a };
    case "reject":
      return reject(409, "not now", code);
    case "respond":
      return respond({ status: 203, headers: { "content-type": "application/json", "x-made": "here" }, body: { cached: true } });
    case "contract":
      return recover({});
    default:
      unknown(act);
  }
}

export async function preRequest(request, context) {
  const { act, code } = context.parms;
  switch (act) {
    case "keep":
      return;
    case "change": {
      const usage = { name: "HMAC", hash: "SHA-256" };
      const key = await crypto.subtle.importKey("raw", new TextEncoder().encode("key"), usage, false, ["sign"]);
      const signature = hex(await crypto.subtle.sign("HMAC", key, request.bytes()));
      request.body = { ...request.json(), signed: true };
      request.method = "PUT";
      request.url += "?v=2";
      request.headers.set("X-Sig", signature);
      request.headers.append("x-tag", "b");
      request.headers.delete("x-drop");
      return;
    }
    case "headers":
      request.headers.set("x-length", String(request.text().length));
      return;
    case "framing":
      request.headers.set("content-length", "3");
      return;
    case "split":
      request.headers.set("x-split", "a\r\nx-smuggled: b");
      return;
    case "reject":
      return reject(403, "not this one", code);
    case "respond":
      return respond({ status: 200, headers: { "content-type": "text/plain" }, body: "made here" });
    default:
      unknown(act);
  }
}

export function postRequest(response, context) {
  const { act, code } = context.parms;
  switch (act) {
    case "keep":
      return;
    case "change":
      return {
        method: response.method,
        url: response.url,
        status: response.status,
        type: response.headers.get("Content-Type"),
        body: response.text(),
      };
    case "proceed":
      return proceed();
    case "proceed-with":
      return proceed({ from: response.json().id });
    case "retry-step":
      return retry("again");
    case "retry-run":
      return retryRun("all again");
    case "fail":
      return fail("Invalid session", code);
    case "reauthenticate":
      return reauthenticate("expired");
    default:
      unknown(act);
  }
}

export function postHook(result, context) {
  const { act, code } = context.parms;
  switch (act) {
    case "keep":
      return;
    case "change":
      return { arguments: result.arguments, status: result.status, id: result.headers.get("x-id"), payload: result.payload };
    case "reject":
      return reject(403, "not for you", code);
    default:
      unknown(act);
  }
}

export function postFail(failure, context) {
  const { act, code } = context.parms;
  switch (act) {
    case "keep":
      return;
    case "recover":
      return recover({ arguments: failure.arguments, status: failure.status, code: failure.code, message: failure.message });
    case "replace":
      return replace({ status: 503, message: "come back later", code });
    default:
      unknown(act);
  }
}

export function trigger(request, context) {
  const { act } = context.parms;
  switch (act) {
    case "keep":
      return;
    case "change":
      return {
        payload: {
          method: request.method,
          url: request.url,
          path: request.path,
          q: request.query.q,
          tag: request.headers.get("X-Tag"),
          given: request.json(),
          test: context.testRun,
        },
      };
    case "respond":
      return { payload: request.text(), response: { status: 201, headers: { "content-type": "text/csv" }, body: "hello,world" } };
    case "accept":
      return { response: { status: 202, headers: { "x-made": "here" } } };
    case "empty":
      return { response: { body: new Uint8Array() } };
    case "bytes":
      return { payload: { sum: request.bytes().reduce((sum, byte) => sum + byte, 0) } };
    case "framing":
      return { response: { headers: { "transfer-encoding": "chunked" } } };
    case "split":
      return { response: { headers: { "x-split": "a\r\nx-smuggled: b" } } };
    case "status":
      return { response: { status: 700 } };
    default:
      unknown(act);
  }
}

export default async function (payload, context) {
  const { act } = context.parms;
  switch (act) {
    case "keep":
      return;
    case "change":
      return { given: payload };
    case "text":
      return `${payload}, ${payload.length} long`;
    case "bytes":
      return { sum: payload.reduce((sum, byte) => sum + byte, 0) };
    case "digest":
      return { sha256: hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(payload))) };
    case "context": {
      const { variables, meta, config, stepResults } = context;
      const before = { count: variables.count, trace: meta.trace };
      variables.count += 1;
      variables.made = { here: true };
      delete variables.gone;
      meta.trace = "second";
      return {
        before,
        after: { count: variables.count, trace: meta.trace, made: variables.made, keys: Object.keys(variables).sort() },
        base: config["App Base URL"],
        first: stepResults.first,
        attempt: context.attempt,
      };
    }
    case "log":
      console.debug("one");
      console.info("two");
      console.log("three");
      console.warn("four");
      console.error("five");
      return;
    case "fresh":
      invocations += 1;
      return { invocations };
    case "throw":
      throw new Error("boom");
    default:
      unknown(act);
  }
}
