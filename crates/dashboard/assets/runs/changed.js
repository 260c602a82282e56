// Which of the values before a hook belongs beside which after it, and both so that they can be read.

/** The same with the bodies of its request and response as values where they are JSON in a text. */
export function opened(values) {
  const made = { ...values };
  for (const name of ["request", "response"]) {
    if (made[name]) made[name] = { ...made[name], body: valueOf(made[name].body) };
  }
  return made;
}

function valueOf(body) {
  if (typeof body !== "string" || !/^\s*[[{]/.test(body)) return body;
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

/** `[[name, before, after], …]` of the values that differ. `given` is the input as a test run has it, `came` what a replay shows. */
export function changed(hook, given, came) {
  const pairs = {
    "pre-hook": [["Arguments", given.arguments, came.arguments]],
    "pre-request": [["Request", given.request, came.request]],
    "post-request": [["Payload", given.payload ?? given.response?.body, came.payload]],
    "post-hook": [["Payload", given.payload ?? given.response?.body, came.payload]],
    "post-fail": [["Result", given.failure, came.payload]],
    step: [["Payload", given.payload, came.payload]],
    trigger: [["Payload", given.payload ?? given.request?.body, came.payload]],
  }[hook] ?? [];
  // A hook that answers itself has made a response where there was none.
  if (came.response) pairs.push(["Response", undefined, came.response]);
  return pairs.filter(([, before, after]) => after !== undefined && JSON.stringify(before) !== JSON.stringify(after));
}
