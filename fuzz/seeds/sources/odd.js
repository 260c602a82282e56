#!/usr/bin/env node
"use strict"; /[/\]}]+(?<name>x)\k<name>/v.test(`a${`b${1}`}`); label: for (;;) { break label }
var \u0061b = 0b1_0n, ä = '\u{1F600}\x41', s = " "; a ??= b?.[0]?.(c) ** 2; <!-- x
export * as default from "./x.js" with { type: "json" }; await import(import.meta.url); export { s as "a b" };
