// Goes before those suites whose rows are checks: what is checked, what comes, and what must.
function run(checks) {
  const failed = [];
  for (const [what, make, expected] of checks) {
    let found;
    try {
      found = make();
    } catch (error) {
      found = `throws ${error}`;
    }
    if (!Object.is(found, expected)) failed.push(`${what} | ${String(found)}`);
  }
  return { rows: checks.length, failed };
}

// The name of what an action throws; the one that the platform gives its errors.
function threw(action) {
  try {
    action();
    return "nothing";
  } catch (error) {
    return error.name;
  }
}

