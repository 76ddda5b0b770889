// SPDX-License-Identifier: Apache-2.0
// The query rows of a pane of logs: drafts until they are run, and what each query is.
import { useCallback, useMemo, useState } from 'react';
import { emptyQuery, type Pane, type PaneQuery } from '@/shared/url/panes';
import { rememberQueries } from '../queryHistory';
import { type Analysis, analyse } from './logql';
import { type Failures, NO_FAILURES } from './parts';

export interface AskedQuery extends PaneQuery {
  asked: Analysis;
}

interface Options {
  pane: Pane;
  onChange: (pane: Pane, options?: { replace?: boolean }) => void;
  /** Nothing changed: the same is asked again. */
  onAgain: () => void;
}

export function usePaneQueries({ pane, onChange, onAgain }: Options) {
  const [drafts, setDrafts] = useState<Record<string, string>>({});
  const [failures, setFailures] = useState<Record<string, Failures>>({});
  const { queries } = pane;
  const ran = useMemo(
    () =>
      queries.flatMap((query): AskedQuery[] => {
        const asked = analyse(query.expr);
        return query.hide || asked.kind === 'empty' ? [] : [{ ...query, asked }];
      }),
    [queries],
  );
  const textOf = (query: PaneQuery) => drafts[query.refId] ?? query.expr;
  const dirty = queries.some((query) => textOf(query) !== query.expr);

  const ask = (next: PaneQuery[]) => {
    setDrafts({});
    if (next.every((query, k) => query.expr === queries[k]?.expr)) {
      onAgain();
      return;
    }
    setFailures({});
    rememberQueries(
      next.filter((query) => !query.hide).map((query) => query.expr),
      'logs',
    );
    onChange({ ...pane, queries: next, hidden: [], logs: { ...pane.logs, line: '' } });
  };
  const set = (refId: string, change: Partial<PaneQuery>) =>
    onChange({ ...pane, queries: queries.map((query) => (query.refId === refId ? { ...query, ...change } : query)) });

  /** What one part of the pane (chart, lines, tail) heard of its queries. */
  const tell = useCallback(
    (part: string) => (found: Failures) =>
      setFailures((held) => (held[part] === found ? held : { ...held, [part]: found })),
    [],
  );
  const tellLines = useMemo(() => tell('lines'), [tell]);
  const tellNumbers = useMemo(() => tell('numbers'), [tell]);
  const whole: Failures = Object.assign({}, NO_FAILURES, ...Object.values(failures));

  return {
    lines: useMemo(() => ran.filter((query) => query.asked.kind === 'logs'), [ran]),
    numbers: useMemo(() => ran.filter((query) => query.asked.kind === 'metric'), [ran]),
    failures: whole,
    tellLines,
    tellNumbers,
    textOf,
    dirty,
    setDraft: (refId: string, expr: string) => setDrafts((held) => ({ ...held, [refId]: expr })),
    run: () => ask(queries.map((query) => ({ ...query, expr: textOf(query) }))),
    pick: (expr: string) => ask(queries.map((query, k) => (k === 0 ? { ...query, expr } : query))),
    /** Changes every query that shows lines, as what narrows a pane narrows all of it; or those that are named. */
    narrow: (change: (expr: string) => string, only?: readonly string[]) => {
      const next = queries.map((query) => {
        const text = textOf(query);
        if (query.hide || analyse(text).kind === 'empty' || (only && !only.includes(query.refId))) return query;
        return { ...query, expr: change(text) };
      });
      if (next.some((query, k) => query.expr !== textOf(queries[k] as PaneQuery))) ask(next);
    },
    set,
    remove: (refId: string) => onChange({ ...pane, queries: queries.filter((query) => query.refId !== refId) }),
    add: () => {
      const used = new Set(queries.map((query) => query.refId));
      let index = queries.length;
      while (used.has(emptyQuery(index).refId)) index += 1;
      onChange({ ...pane, queries: [...queries, emptyQuery(index)] });
    },
  };
}
