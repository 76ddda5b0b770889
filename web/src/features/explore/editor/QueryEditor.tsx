// SPDX-License-Identifier: Apache-2.0
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  startCompletion,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, indentUnit } from '@codemirror/language';
import { type Diagnostic, lintKeymap, setDiagnostics } from '@codemirror/lint';
import { Annotation, EditorState, type Extension, Prec } from '@codemirror/state';
import { drawSelection, EditorView, keymap, placeholder } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import { cspNonce } from '@/shared/api/boot';
import type { Position } from '../errors';
import { editorLook } from './look';

/** What a language brings: its grammar, completion and hover texts, and the problems it finds by itself. */
export interface EditorLanguage {
  create: () => { extension: Extension; destroy: () => void };
  diagnose: (view: EditorView) => readonly Diagnostic[];
}

export interface QueryEditorProps {
  value: string;
  label: string;
  hint: string;
  autoFocus: boolean;
  /** Where the server says the query is wrong. */
  problem: { position: Position | null; message: string } | null;
  onChange: (value: string) => void;
  onRun: () => void;
  onFormat: () => void;
}

/**
 * Typing over a selection: a browser that does it by itself writes the old colour into a style attribute, which the page's
 * policy forbids and reports. Compositions are the browser's own.
 */
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { main } = view.state.selection;
    const text = event.data;
    if (event.inputType !== 'insertText' || event.isComposing || main.empty || !text) return false;
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type' });
    const handlers = view.state.facet(EditorView.inputHandler);
    if (!handlers.some((handle) => handle(view, main.from, main.to, text, insert))) view.dispatch(insert());
    event.preventDefault();
    return true;
  },
});

const fromOutside = Annotation.define<boolean>();

function offsetOf(state: EditorState, position: Position): number {
  const line = state.doc.line(Math.min(Math.max(1, position.line), state.doc.lines));
  return Math.min(line.to, line.from + Math.max(0, position.column - 1));
}

function diagnostics(state: EditorState, problem: NonNullable<QueryEditorProps['problem']>): Diagnostic[] {
  if (!problem.position || state.doc.length === 0) return [];
  const from = Math.min(offsetOf(state, problem.position), Math.max(0, state.doc.length - 1));
  const word = state.wordAt(from);
  return [{ from, to: word?.to ?? Math.min(state.doc.length, from + 1), severity: 'error', message: problem.message }];
}

/** The language must be the same for the life of the editor. */
export function QueryEditor({ language, ...props }: QueryEditorProps & { language: EditorLanguage }) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  const marked = useRef(false);
  latest.current = props;

  useEffect(() => {
    if (!host.current) return;
    const speech = language.create();
    const run = () => {
      latest.current.onRun();
      return true;
    };
    const format = () => {
      latest.current.onFormat();
      return true;
    };
    const created = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          EditorView.cspNonce.of(cspNonce),
          history(),
          drawSelection(),
          typeOver,
          bracketMatching(),
          closeBrackets(),
          indentUnit.of('  '),
          autocompletion({ activateOnTyping: true, maxRenderedOptions: 80 }),
          Prec.highest(
            keymap.of([
              { key: 'Shift-Enter', run },
              { key: 'Mod-Enter', run },
              { key: 'Alt-Shift-f', run: format },
              { key: 'Ctrl-Space', run: startCompletion },
            ]),
          ),
          keymap.of([
            ...closeBracketsKeymap,
            ...completionKeymap,
            ...historyKeymap,
            ...lintKeymap,
            { key: 'Enter', run: insertNewlineAndIndent },
            ...defaultKeymap,
          ]),
          speech.extension,
          editorLook,
          placeholder(latest.current.hint),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': latest.current.label, spellcheck: 'false' }),
          EditorView.updateListener.of((update) => {
            // Only what a person typed: an echo of `value` would outlive the value it came from.
            if (update.docChanged && !update.transactions.some((step) => step.annotation(fromOutside)))
              latest.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = created;
    if (latest.current.autoFocus) {
      created.focus();
      created.dispatch({ selection: { anchor: created.state.doc.length } });
    }
    return () => {
      speech.destroy();
      created.destroy();
      view.current = null;
    };
  }, [language]);

  // The URL can change the text too: Back, a metric chosen in the browser, formatting.
  useEffect(() => {
    const current = view.current;
    if (!current || current.state.doc.toString() === props.value) return;
    current.dispatch({
      changes: { from: 0, to: current.state.doc.length, insert: props.value },
      annotations: fromOutside.of(true),
    });
  }, [props.value]);

  useEffect(() => {
    const current = view.current;
    if (!current) return;
    if (props.problem) {
      current.dispatch(setDiagnostics(current.state, diagnostics(current.state, props.problem)));
      marked.current = true;
    } else if (marked.current) {
      // The server takes the query now: its mark goes, what the page itself finds stays.
      current.dispatch(setDiagnostics(current.state, [...language.diagnose(current)]));
      marked.current = false;
    }
  }, [props.problem, language]);

  return <div ref={host} />;
}
