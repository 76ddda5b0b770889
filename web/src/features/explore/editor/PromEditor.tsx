// SPDX-License-Identifier: Apache-2.0
import { hoverTooltip } from '@codemirror/view';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { functionIdentifierTerms } from '@prometheus-io/codemirror-promql/dist/esm/complete/promql.terms';
import { completeStrategy, describeMetric } from './client';
import { diagnose, promLinter } from './lint';
import { type EditorLanguage, QueryEditor, type QueryEditorProps } from './QueryEditor';

const hoverDocs = hoverTooltip(async (view, at) => {
  const word = view.state.wordAt(at);
  if (!word) return null;
  const text = view.state.sliceDoc(word.from, word.to);
  const term = functionIdentifierTerms.find((f) => f.label === text) as { info?: string } | undefined;
  const meta = term ? undefined : await describeMetric(text).catch(() => undefined);
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

const promLanguage: EditorLanguage = {
  create: () => {
    const promql = new PromQLExtension()
      .activateCompletion(true)
      .activateLinter(false)
      .setComplete({ completeStrategy: completeStrategy() });
    return { extension: [promql.asExtension(), promLinter, hoverDocs], destroy: () => promql.destroy() };
  },
  diagnose,
};

export default function PromEditor(props: QueryEditorProps) {
  return <QueryEditor {...props} language={promLanguage} />;
}
