// SPDX-License-Identifier: Apache-2.0
// Completion's view of our API: what the editor may ask for while someone types, with a short memory.

import type { PrometheusClient } from '@prometheus-io/codemirror-promql/dist/esm/client/prometheus';
import { type CompleteStrategy, newCompleteStrategy } from '@prometheus-io/codemirror-promql/dist/esm/complete';
import type { Matcher } from '@prometheus-io/codemirror-promql/dist/esm/types';
import { labelNames, labelValues, type MetricMetadata, metadata, seriesOf } from '@/shared/api/prom';
import { requestBytes } from '@/shared/api/request';
import { names } from '@/shared/frames/client';
import type { Completions } from '@/shared/frames/names';

const AGE_MS = 60_000;
const memory = new Map<string, { at: number; value: Promise<unknown> }>();

function remembered<T>(key: string, make: () => Promise<T>): Promise<T> {
  const held = memory.get(key);
  if (held && Date.now() - held.at < AGE_MS) return held.value as Promise<T>;
  const value = make();
  memory.set(key, { at: Date.now(), value });
  value.catch(() => memory.delete(key));
  if (memory.size > 200) memory.delete(memory.keys().next().value as string);
  return value;
}

function selector(metric: string | undefined, matchers: Matcher[] = [], except = ''): string | undefined {
  const parts = matchers
    .filter((m) => m.name !== except && m.value !== '' && m.matchesEmpty?.() !== true)
    .map((m) => `${m.name}${operator(m)}${JSON.stringify(m.value)}`);
  if (!metric && parts.length === 0) return undefined;
  return `${metric ?? ''}${parts.length > 0 ? `{${parts.join(',')}}` : ''}`;
}

const OPERATORS: Record<string, string> = { EqlSingle: '=', Neq: '!=', EqlRegex: '=~', NeqRegex: '!~' };
function operator(m: Matcher): string {
  return OPERATORS[String(m.type)] ?? '=';
}

const quiet = <T>(promise: Promise<T>, fallback: T): Promise<T> => promise.catch(() => fallback);

/** Of very many names the list under the cursor gets so many that fit what is typed; the rest stays in the worker. */
const MOST_NAMES = 500;

async function loadNames(): Promise<number> {
  const bytes = await requestBytes('/api/v1/label/__name__/values');
  return names.run({ kind: 'names', bytes });
}

async function namesFor(text: string): Promise<Completions> {
  await remembered('names', loadNames);
  return names.run({ kind: 'complete', text, limit: MOST_NAMES });
}

export const allMetadata = (): Promise<Record<string, MetricMetadata[]>> => remembered('metadata', () => metadata());

const client: Omit<PrometheusClient, 'metricNames'> = {
  labelNames: (metric) =>
    quiet(
      remembered(`labels ${metric}`, () => labelNames(metric || undefined)),
      [],
    ),
  labelValues: (label, metric, matchers) => {
    const match = selector(metric, matchers, label);
    return quiet(
      remembered(`values ${label} ${match}`, () => labelValues(label, match)),
      [],
    );
  },
  metricMetadata: () => quiet(allMetadata(), {}),
  series: async (metric, matchers) => {
    const match = selector(metric, matchers);
    if (!match) return [];
    const rows = await quiet(
      remembered(`series ${match}`, () => seriesOf(match, 1000)),
      [],
    );
    return rows.map((labels) => new Map(Object.entries(labels)));
  },
  flags: () => Promise.resolve({}),
};

/** codemirror-promql's completion. A list that leaves names out is asked for again with every letter. */
export function completeStrategy(): CompleteStrategy {
  let partial = false;
  const remote: PrometheusClient = {
    ...client,
    metricNames: async (prefix) => {
      const found = await quiet(namesFor(prefix ?? ''), { names: [], whole: true });
      partial = !found.whole;
      return found.names;
    },
  };
  const inner = newCompleteStrategy({ remote, maxMetricsMetadata: 20_000 });
  return {
    promQL: async (context) => {
      partial = false;
      const result = await inner.promQL(context);
      if (!result || !partial) return result;
      const { validFor: _validFor, ...once } = result;
      return once;
    },
    destroy: () => inner.destroy?.(),
  };
}
