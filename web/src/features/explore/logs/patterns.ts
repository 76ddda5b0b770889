// SPDX-License-Identifier: Apache-2.0
// The shapes of lines, for all queries of a pane. Patterns know the selector alone: equal selectors share theirs.
import type { Pattern } from './api';

export interface SelectorOf {
  selector: string;
  refIds: string[];
}

/** The selectors of the queries, each once, with the queries that have it. */
export function selectorsOf(queries: readonly { refId: string; asked: { selector: string } }[]): SelectorOf[] {
  const out = new Map<string, SelectorOf>();
  for (const { refId, asked } of queries) {
    const known = out.get(asked.selector);
    if (known) known.refIds.push(refId);
    else out.set(asked.selector, { selector: asked.selector, refIds: [refId] });
  }
  return [...out.values()];
}

export interface PatternRow extends Pattern {
  count: number;
}

/** Most frequent first. */
export function patternRows(found: readonly Pattern[]): PatternRow[] {
  return found
    .map((p) => ({ ...p, count: p.samples.reduce((sum, [, n]) => sum + n, 0) }))
    .sort((a, b) => b.count - a.count);
}
