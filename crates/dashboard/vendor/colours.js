// How the editor looks. All colours are custom properties of the dashboard's style sheet, which a shadow root inherits, so that the editor changes
// its theme with the page.

import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const syntax = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.regexp, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.typeName, tags.className, tags.namespace], color: "var(--code-type)" },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: "var(--code-function)" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-property)" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

const panel = { backgroundColor: "var(--code-panel)", color: "var(--text)" };
const edge = "1px solid var(--line)";

const look = EditorView.theme({
  "&": { backgroundColor: "var(--code-back)", color: "var(--text)", fontSize: "0.875rem", height: "100%" },
  // The page draws the focus around all of it; in here the gutters would cover it.
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--text)", padding: "0.5rem 0" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--code-back)", color: "var(--soft)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--code-line)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    backgroundColor: "var(--code-selection)",
  },
  ".cm-selectionMatch": { backgroundColor: "var(--code-match)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--code-match)", outline: edge },
  ".cm-searchMatch": { backgroundColor: "var(--code-match)", outline: edge },
  ".cm-foldPlaceholder": { ...panel, border: edge },
  ".cm-panels": { ...panel, borderColor: "var(--line)" },
  ".cm-panels.cm-panels-bottom": { borderTop: edge },
  ".cm-textfield": { backgroundColor: "var(--code-back)", color: "var(--text)", border: edge },
  ".cm-button": { ...panel, backgroundImage: "none", border: edge },
  ".cm-panel.cm-search [name=close]": { color: "var(--text)" },
  ".cm-tooltip": { ...panel, border: edge, borderRadius: "6px", overflow: "hidden" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--code-selection)", color: "var(--text)" },
  ".cm-completionInfo": { maxWidth: "26rem", padding: "0.5rem 0.75rem", fontFamily: "var(--sans)" },
  ".cm-completionDetail": { color: "var(--soft)", fontStyle: "normal" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-diagnostic": { padding: "0.25rem 0.6rem" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--bad)" },
  ".cm-diagnostic-warning": { borderLeft: "4px solid var(--warn)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--warn)" },
});

export const colours = [look, syntaxHighlighting(syntax)];
