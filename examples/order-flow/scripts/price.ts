// A script step: takes the order as the caller sent it and gives the order with its total.
// The total is kept as a variable too, since later steps see other payloads.

import type { Context } from "snaphook";

interface Item {
  sku: string;
  quantity: number;
  price_cents: number;
}

interface Order {
  customer: string;
  items: Item[];
}

export default function (order: Order, context: Context<{ currency: string }>): Order & { total_cents: number; currency: string } {
  if (order.items.length === 0) {
    throw new RangeError("the order has no items");
  }
  const total_cents = order.items.reduce((sum, item) => sum + item.quantity * item.price_cents, 0);
  context.variables.totalCents = total_cents;
  console.info(`${order.items.length} items, ${total_cents} cents`);
  return { ...order, total_cents, currency: context.parms.currency };
}
