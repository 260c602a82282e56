// A pre-hook that adds data to a call: what the binding's `parms.extradata` holds goes into the call's `eventData`.
// A call without `eventData` never reaches the upstream.

import { reject } from "snaphook";

/** @type {import("snaphook").PreHook} */
export function preHook(call, context) {
  const { eventData } = call.arguments;
  if (typeof eventData !== "object" || eventData === null) {
    return reject(400, "eventData is missing", "event-data");
  }
  const { extradata } = context.parms;
  console.info(`adding ${Object.keys(extradata).join(", ")}`);
  Object.assign(eventData, extradata);
}
