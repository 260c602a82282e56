// Doing something again and again while a page is shown and seen.

/** Calls `action` every so many milliseconds until the signal ends it, and not while the tab is in the background. What fails is tried again later. */
export function every(ms, signal, action) {
  const turn = async () => {
    if (signal.aborted) return;
    if (!document.hidden) {
      try {
        await action();
      } catch (error) {
        // The node is away, or full: the reader sees what there was, and the next turn tells.
        if (error.status === undefined && error.name !== "AbortError") console.error(error);
      }
    }
    if (!signal.aborted) timer = setTimeout(turn, ms);
  };
  let timer = setTimeout(turn, ms);
  signal.addEventListener("abort", () => clearTimeout(timer));
}
