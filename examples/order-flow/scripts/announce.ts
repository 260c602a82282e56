// A pre-request hook of the last step: fills in what the warehouse has to know, from what the steps before have left.

import type { Context, Request } from "snaphook";

interface Created {
  id: string;
  state: "new" | "open";
}

export function preRequest(request: Request, context: Context): void {
  const created = context.stepResults.createOrder as Created;
  const message = request.json<{ kind: string }>();
  request.headers.set("x-attempt", String(context.attempt));
  request.body = { ...message, order: created.id, total_cents: context.variables.totalCents };
}
