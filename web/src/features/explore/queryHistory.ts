// SPDX-License-Identifier: Apache-2.0
// Queries run in this browser, newest first, each once.
import { createStore } from '@/shared/store';
import type { PaneSource } from '@/shared/url/panes';

const KEY = 'tocayo.queries';
const LIMIT = 100;

export interface PastQuery {
  expr: string;
  atMs: number;
  /** Metrics where it says nothing. */
  source?: PaneSource;
}

function load(): PastQuery[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(value)
      ? value.filter((q: PastQuery) => typeof q?.expr === 'string' && typeof q?.atMs === 'number')
      : [];
  } catch {
    return [];
  }
}

export const pastQueries = createStore<PastQuery[]>(load());

export function rememberQueries(exprs: readonly string[], source: PaneSource): void {
  const fresh = exprs.map((e) => e.trim()).filter((e) => e !== '');
  if (fresh.length === 0) return;
  const atMs = Date.now();
  const rest = pastQueries.get().filter((q) => !fresh.includes(q.expr));
  pastQueries.set([...fresh.map((expr) => ({ expr, atMs, source })), ...rest].slice(0, LIMIT));
  try {
    localStorage.setItem(KEY, JSON.stringify(pastQueries.get()));
  } catch {
    // Private mode.
  }
}
