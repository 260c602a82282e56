// Runs before the page is painted, so that a chosen theme does not flash in after the system's.
"use strict";
const chosen = localStorage.getItem("snaphook-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
