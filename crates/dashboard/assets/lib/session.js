// Who is signed in, for pages that differ by it.

/** `me`: the answer of `GET /v1/me`, or null. */
export const session = { me: null };

/** Whether the token may do what needs this scope; `operator` is the operator's alone, and a tenant's scopes are none of theirs. */
export function may(scope) {
  const { me } = session;
  if (!me) return false;
  if (scope === "operator") return me.operator;
  return !me.operator && (me.scopes.includes("admin") || me.scopes.includes(scope));
}
