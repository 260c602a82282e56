// The dashboard's editor: CodeMirror with what a script or a JSON document needs, behind one function. It is bundled by `../build/main.rs` and served as
// one module; where it is absent, `assets/lib/editor.js` does the same with a plain text area.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { colours } from "./colours.js";

/** By the words that the dashboard has for them. */
const LANGUAGES = {
  typescript: () => javascript({ typescript: true }),
  javascript: () => javascript(),
  json: () => json(),
};

/**
 * Puts an editor into `parent`, inside a shadow root: there CodeMirror's styles are constructed sheets, which the page's content security policy
 * lets pass.
 *
 * @param {object} options
 * @param {HTMLElement} options.parent where it stands
 * @param {string} options.text what it begins with
 * @param {"typescript" | "javascript" | "json"} options.language
 * @param {string} options.label its name for who does not see it
 * @param {boolean} [options.readOnly]
 * @param {(text: string, at: number, asked: boolean) => { from: number, options: object[] } | null} [options.complete] what may follow at a place
 * @param {(text: string) => void} [options.onChange] called after every change
 * @param {() => void} [options.onSave] called at Ctrl-S or Cmd-S
 */
export function create({ parent, text, language, label, readOnly = false, complete, onChange, onSave }) {
  const root = parent.attachShadow({ mode: "open" });
  const source = (context) => complete?.(context.state.doc.toString(), context.pos, context.explicit) ?? null;
  const save = () => (onSave?.(), true);
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        EditorState.readOnly.of(readOnly),
        EditorView.contentAttributes.of({ "aria-label": label, "aria-multiline": "true", tabindex: "0" }),
        keymap.of(onSave ? [{ key: "Mod-s", run: save }] : []),
        shown(),
        readOnly ? [] : written(source),
        keymap.of([...defaultKeymap, ...searchKeymap, ...foldKeymap, ...lintKeymap]),
        (LANGUAGES[language] ?? LANGUAGES.javascript)(),
        EditorView.updateListener.of((update) => update.docChanged && onChange?.(update.state.doc.toString())),
        colours,
      ],
    }),
  });
  return handle(view);
}

/** What every editor has, also one that only shows. */
function shown() {
  return [
    lineNumbers(),
    foldGutter(),
    lintGutter(),
    drawSelection(),
    bracketMatching(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    highlightSelectionMatches(),
    EditorState.tabSize.of(2),
  ];
}

/** What one has that is written in. */
function written(source) {
  return [
    history(),
    indentOnInput(),
    indentUnit.of("  "),
    closeBrackets(),
    autocompletion(),
    EditorState.languageData.of(() => [{ autocomplete: source }]),
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, indentWithTab]),
  ];
}

/** What the dashboard may do with an editor. */
function handle(view) {
  return {
    get text() {
      return view.state.doc.toString();
    },
    set text(text) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    /** Shows these problems, each `{line, column, message, severity}` counted from 1, and no others. */
    problems(list) {
      const diagnostics = list.map((problem) => ({ ...span(view.state.doc, problem), message: problem.message, severity: problem.severity }));
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    /** Puts the cursor at a place and brings it into view. */
    go(line, column = 1) {
      const { from } = span(view.state.doc, { line, column });
      view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    },
    focus() {
      view.focus();
    },
    destroy() {
      view.destroy();
    },
  };
}

/** From a place, which may lie past the end, to the end of the word there, or of the line where no word begins. */
function span(doc, { line, column }) {
  const at = doc.line(Math.min(Math.max(line || 1, 1), doc.lines));
  const from = Math.min(at.from + Math.max((column || 1) - 1, 0), at.to);
  const word = /^[\w$]+/.exec(doc.sliceString(from, at.to));
  return { from, to: word ? from + word[0].length : at.to };
}
