// Whether something on the page that is shown would be lost with it: one page is shown at a time, so one word is enough.

import { confirm } from "./dom.js";

let dirty = false;

/** Something was written that is stored nowhere. */
export function touched() {
  dirty = true;
}

/** All of it is stored, or was given up. */
export function settled() {
  dirty = false;
}

/** Whether something would be lost. */
export function isUnsaved() {
  return dirty;
}

/** Whether the page may be left; asks where something would be lost. */
export async function mayLeave() {
  return !dirty || confirm("Leave without saving? What was changed on this page is lost.", "Leave it", "Stay here");
}

/** Calls `render` for each address that is gone to; where something would be lost, once the reader agrees. */
export function watchLeaving(render) {
  let asking = false;
  addEventListener("hashchange", async ({ oldURL }) => {
    // Pages dispatch the event themselves, without addresses, to be shown anew.
    if (!oldURL || !dirty) return render();
    if (asking) return;
    asking = true;
    const leave = await mayLeave();
    asking = false;
    if (leave) return render();
    history.replaceState(null, "", oldURL);
  });
}

// The tab is closed or loaded anew: the browser asks in its own words.
addEventListener("beforeunload", (event) => {
  if (dirty) event.preventDefault();
});
