// SPDX-License-Identifier: Apache-2.0
// Several queries of one pane as one answer: what some bring is shown, and each that fails says why in its own row.
import { useEffect } from 'react';
import type { LinesAnswer } from './api';
import { joinLines } from './lines';

export interface Asked {
  refId: string;
  expr: string;
}

export interface Part<T> {
  refId: string;
  value: T | null;
  error: Error | null;
}

export type Failures = Readonly<Record<string, Error>>;
export const NO_FAILURES: Failures = {};

/** A single query that fails is an error like any other; of several each fails for itself. */
export async function askAll<T>(
  queries: readonly Asked[],
  ask: (expr: string) => Promise<T>,
  signal: AbortSignal,
): Promise<Part<T>[]> {
  const [only] = queries;
  if (only && queries.length === 1) return [{ refId: only.refId, value: await ask(only.expr), error: null }];
  const answers = await Promise.allSettled(queries.map((query) => ask(query.expr)));
  signal.throwIfAborted();
  return answers.map((answer, k) => {
    const refId = queries[k]?.refId ?? '';
    if (answer.status === 'fulfilled') return { refId, value: answer.value, error: null };
    return {
      refId,
      value: null,
      error: answer.reason instanceof Error ? answer.reason : new Error(String(answer.reason)),
    };
  });
}

export function failuresOf(queries: readonly Asked[], error: Error | null, parts: readonly Part<unknown>[]): Failures {
  if (error) return { [queries[0]?.refId ?? '']: error };
  const failed = parts.flatMap((part) => (part.error ? [[part.refId, part.error] as const] : []));
  return failed.length > 0 ? Object.fromEntries(failed) : NO_FAILURES;
}

/** Tells the rows; once for every answer. */
export function useFailures(
  queries: readonly Asked[],
  error: Error | null,
  parts: readonly Part<unknown>[] | undefined,
  onFailures: (failures: Failures) => void,
): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the queries belong to the answer
  useEffect(() => onFailures(failuresOf(queries, error, parts ?? [])), [error, parts, onFailures]);
}

/**
 * The lines of all queries, each once. Where a limit cut one of them, the others go no further than it does: beyond that
 * edge lines would be missing.
 */
export function mergeLines(answers: readonly LinesAnswer[], oldest: boolean): LinesAnswer {
  const [only] = answers;
  if (only && answers.length === 1) return only;
  const edges = answers.flatMap((answer) => {
    const edge = oldest ? answer.lines.at(-1) : answer.lines[0];
    return answer.more && edge ? [BigInt(edge.ns)] : [];
  });
  const all = joinLines(answers.map((answer) => answer.lines));
  if (edges.length === 0) return { lines: all, more: false };
  const edge = edges.reduce((a, b) => ((oldest ? b < a : b > a) ? b : a));
  return { lines: all.filter(({ ns }) => (oldest ? BigInt(ns) <= edge : BigInt(ns) >= edge)), more: true };
}
