function run(payload: any, variables: Record<string, string>) {
  const total: number = payload.items.length;
  return { payload: { ...payload, total }, message: `${total} of ${variables['name']}` };
}
module.exports = run;
