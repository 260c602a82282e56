// Takes a payment provider's webhook: what the first step is given, and what the provider is answered.

const STATES = new Map([["payment.succeeded", "paid"], ["payment.failed", "open"]]);

/** @type {import("snaphook").Trigger} */
export function trigger(request, context) {
  const event = request.json();
  const state = STATES.get(event.type);
  if (state === undefined) throw new TypeError(`no such event: ${event.type}`);
  context.log.info(event.type, event.id);
  context.variables.eventId = event.id;
  return {
    payload: { order: event.data.reference, state, shop: request.query.shop },
    response: { status: 202, headers: { "content-type": "text/plain" }, body: `received ${event.id}` },
  };
}
