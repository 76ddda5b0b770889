// SPDX-License-Identifier: Apache-2.0
// Completion's view of our API: what the editor may ask for while someone types, with a short memory.

import type { PrometheusClient } from '@prometheus-io/codemirror-promql/dist/esm/client/prometheus';
import { type CompleteStrategy, newCompleteStrategy } from '@prometheus-io/codemirror-promql/dist/esm/complete';
import type { Matcher } from '@prometheus-io/codemirror-promql/dist/esm/types';
import { labelNames, labelValues, type MetricMetadata, metadataOf, seriesOf } from '@/shared/api/prom';
import { completeName } from '../metricNames';

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

const OPERATORS: Record<string, string> = { EqlSingle: '=', Neq: '!=', EqlRegex: '=~', NeqRegex: '!~' };
const operator = (m: Matcher): string => OPERATORS[String(m.type)] ?? '=';

/** The matchers written so far but those of one label, and one more of our own. */
function selector(metric: string | undefined, matchers: Matcher[] = [], except = '', more = ''): string | undefined {
  const parts = matchers
    .filter((m) => m.name !== except && m.value !== '' && m.matchesEmpty?.() !== true)
    .map((m) => `${m.name}${operator(m)}${JSON.stringify(m.value)}`);
  if (more !== '') parts.push(more);
  if (!metric && parts.length === 0) return undefined;
  return `${metric ?? ''}${parts.length > 0 ? `{${parts.join(',')}}` : ''}`;
}

const quiet = <T>(promise: Promise<T>, fallback: T): Promise<T> => promise.catch(() => fallback);

/** More values than this are not listed: those that hold what is typed are asked for instead. */
const MOST_VALUES = 2000;

/** What a metric is, or what it is a part of. */
export async function describeMetric(name: string): Promise<MetricMetadata | undefined> {
  const ask = (metric: string) => remembered(`about ${metric}`, () => metadataOf(metric));
  const whole = name.replace(/_(bucket|sum|count|total)$/, '');
  return (await ask(name)) ?? (whole === name ? undefined : ask(whole));
}

interface Listed {
  values: string[];
  /** There are more than these. */
  cut: boolean;
}

async function valuesOf(
  label: string,
  typed: string,
  metric: string | undefined,
  matchers?: Matcher[],
): Promise<Listed> {
  const list = async (match: string | undefined): Promise<Listed> => {
    const values = await remembered(`values ${label} ${match}`, () => labelValues(label, match, MOST_VALUES));
    return { values, cut: values.length >= MOST_VALUES };
  };
  const all = await list(selector(metric, matchers, label));
  if (!all.cut || typed === '') return all;
  const holds = `${label}=~${JSON.stringify(`(?i).*${typed.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}.*`)}`;
  return { values: (await list(selector(metric, matchers, label, holds))).values, cut: true };
}

/** What is typed of a quoted text, up to the cursor. */
const quoted = (before: string): string => /["'`]([^"'`]*)$/.exec(before)?.[1] ?? '';

/** codemirror-promql's completion. A list that leaves something out is asked for again with every letter. */
export function completeStrategy(): CompleteStrategy {
  let partial = false;
  let typed = '';
  let about: Record<string, MetricMetadata[]> = {};
  const complete = async (text: string): Promise<string[]> => {
    const found = await quiet(completeName(text), { names: [], whole: true, about: {} });
    partial = !found.whole;
    about = found.about;
    return found.names;
  };
  const remote: PrometheusClient = {
    labelNames: (metric) =>
      quiet(
        remembered(`labels ${metric}`, () => labelNames(metric || undefined)),
        [],
      ),
    labelValues: async (label, metric, matchers) => {
      if (label === '__name__') return complete(typed);
      const { values, cut } = await quiet(valuesOf(label, typed, metric, matchers), { values: [], cut: false });
      partial = cut;
      return values;
    },
    metricNames: (prefix) => complete(prefix ?? ''),
    metricMetadata: () => Promise.resolve(about),
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
  const inner = newCompleteStrategy({ remote, maxMetricsMetadata: 20_000 });
  return {
    promQL: async (context) => {
      partial = false;
      typed = quoted(context.state.sliceDoc(0, context.pos));
      const result = await inner.promQL(context);
      if (!result || !partial) return result;
      const { validFor: _validFor, ...once } = result;
      return once;
    },
    destroy: () => inner.destroy?.(),
  };
}
