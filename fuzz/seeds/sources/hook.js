import { reject } from 'snaphook';
export function preHook(call, context) {
  if (!call.arguments.total) return reject(400, 'no total', 'E1');
  call.arguments.seen = `${context.run}: ${call.arguments.items.map((item) => item.id).join(',')}`;
}
