import { reject, type Call } from "snaphook";
interface Order<T extends string = 'a'> { readonly id: T; items?: Array<{ price: number }> }
type Total = { [K in keyof Order]: number } | null;
declare const known: unique symbol;
export function preHook(this: void, call: Call, context?: Context): asserts call is Call {
  const order = call.arguments as unknown as Order<'b'>;
  const total = order.items!.reduce<number>((sum, item) => sum + item.price, 0) satisfies number;
  if (total > 1) reject(400, <any>'too much');
}
