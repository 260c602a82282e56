// A post-request script that decides by the body: this upstream answers 200 even when it refuses, and says so in its text.
// Without the script the error would go on as if it were the data.

import { fail } from "snaphook";

/** @type {import("snaphook").PostRequest} */
export function postRequest(response) {
  if (response.text().includes("Invalid session")) {
    return fail("Invalid session", "session");
  }
}
