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
import { Annotation, EditorState, Prec } from '@codemirror/state';
import { drawSelection, EditorView, hoverTooltip, keymap, placeholder } from '@codemirror/view';
import { newCompleteStrategy, PromQLExtension } from '@prometheus-io/codemirror-promql';
import { functionIdentifierTerms } from '@prometheus-io/codemirror-promql/dist/esm/complete/promql.terms';
import { useEffect, useRef } from 'react';
import { cspNonce } from '@/shared/api/boot';
import type { Position } from '../errors';
import { allMetadata, completionClient } from './client';
import { diagnose, promLinter } from './lint';
import { editorLook } from './look';

export interface PromEditorProps {
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

const hoverDocs = hoverTooltip(async (view, at) => {
  const word = view.state.wordAt(at);
  if (!word) return null;
  const text = view.state.sliceDoc(word.from, word.to);
  const term = functionIdentifierTerms.find((f) => f.label === text) as { info?: string } | undefined;
  const meta = term
    ? undefined
    : (await allMetadata().catch(() => ({}) as Awaited<ReturnType<typeof allMetadata>>))[text]?.[0];
  const title = term ? `${text}()` : meta ? `${text} · ${meta.type}${meta.unit ? ` · ${meta.unit}` : ''}` : '';
  const body = term?.info ?? meta?.help ?? '';
  if (title === '') return null;
  return {
    pos: word.from,
    end: word.to,
    above: true,
    create: () => {
      const dom = document.createElement('div');
      dom.className = 'cm-hoverDoc';
      const head = document.createElement('b');
      head.textContent = title;
      const text = document.createElement('p');
      text.textContent = body;
      dom.append(head, text);
      return { dom };
    },
  };
});

const fromOutside = Annotation.define<boolean>();

function offsetOf(state: EditorState, position: Position): number {
  const line = state.doc.line(Math.min(Math.max(1, position.line), state.doc.lines));
  return Math.min(line.to, line.from + Math.max(0, position.column - 1));
}

function diagnostics(state: EditorState, problem: NonNullable<PromEditorProps['problem']>): Diagnostic[] {
  if (!problem.position || state.doc.length === 0) return [];
  const from = Math.min(offsetOf(state, problem.position), Math.max(0, state.doc.length - 1));
  const word = state.wordAt(from);
  return [{ from, to: word?.to ?? Math.min(state.doc.length, from + 1), severity: 'error', message: problem.message }];
}

export default function PromEditor(props: PromEditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  const marked = useRef(false);
  latest.current = props;

  useEffect(() => {
    if (!host.current) return;
    const promql = new PromQLExtension()
      .activateCompletion(true)
      .activateLinter(false)
      .setComplete({ completeStrategy: newCompleteStrategy({ remote: completionClient, maxMetricsMetadata: 20_000 }) });
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
          promql.asExtension(),
          promLinter,
          hoverDocs,
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
      promql.destroy();
      created.destroy();
      view.current = null;
    };
  }, []);

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
      current.dispatch(setDiagnostics(current.state, [...diagnose(current)]));
      marked.current = false;
    }
  }, [props.problem]);

  return <div ref={host} />;
}
