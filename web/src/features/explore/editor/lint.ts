// SPDX-License-Identifier: Apache-2.0
// Problems that can be told without asking the server. On a busy machine the grammar may not be through with the query when
// the linter runs: an unfinished tree has errors that the query has not, so nothing is said until it is finished.
import { forceParsing, syntaxTree, syntaxTreeAvailable } from '@codemirror/language';
import { type Diagnostic, linter } from '@codemirror/lint';
import type { EditorView } from '@codemirror/view';
import { HybridLint } from '@prometheus-io/codemirror-promql/dist/esm/lint/hybrid';

const PARSE_MS = 500;
const check = new HybridLint().promQL();

export function diagnose(view: EditorView): readonly Diagnostic[] {
  const { length } = view.state.doc;
  if (length === 0 || !forceParsing(view, length, PARSE_MS)) return [];
  return check(view) as readonly Diagnostic[];
}

export const promLinter = linter(diagnose, {
  delay: 400,
  needsRefresh: (update) =>
    syntaxTree(update.startState) !== syntaxTree(update.state) && syntaxTreeAvailable(update.state),
});
