// Scripts: the list, and what can be done with one.

import { showBench } from "../scripts/bench.js";
import { showEditor } from "../scripts/edit.js";
import { showList } from "../scripts/list.js";
import { showPromotion } from "../scripts/promote.js";
import { showVersions } from "../scripts/versions.js";

const VIEWS = { edit: showEditor, test: showBench, promote: showPromotion };

/** `#/scripts`, `#/scripts/+new`, `#/scripts/NAME` and, below that, `edit`, `test` and `promote`. */
export async function show(main, params) {
  const [name, view] = params;
  if (!name) return showList(main, params);
  if (name === "+new") return showEditor(main, params);
  return (VIEWS[view] ?? showVersions)(main, params);
}
