const seen = new Map();
export default async (payload) => {
  const answer = await fetch('crm:/orders', { method: 'POST', body: JSON.stringify(payload) });
  for await (const { id, ...rest } of [await answer.json()]) seen.set(id, rest ?? null);
  return Object.fromEntries(seen);
};
