// Lists that come a page at a time.

import { get, query } from "./api.js";
import { button, empty, table } from "./dom.js";

/**
 * Puts a list into `place`, each page as a table of its own, with a button for the next. `{address, limit, title, nothing, columns, row}`: `row` gives
 * the cells of an item, `nothing` says what an empty list is.
 */
export async function showPages(place, { address, limit = 100, title, nothing, columns, row }, signal) {
  const more = async (cursor) => {
    const { items, next_cursor: next } = await get(query(address, { limit, cursor }), { signal });
    if (items.length === 0 && !cursor) place.append(empty(nothing));
    else place.append(table(title, columns, items.map(row)));
    if (!next) return;
    const further = button("More", async () => {
      await more(next);
      further.remove();
    });
    place.append(further);
  };
  await more(null);
}
