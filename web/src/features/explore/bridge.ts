// SPDX-License-Identifier: Apache-2.0
// From a metrics series to the logs of the same labels and back, carrying only labels that exist on both sides.
import { type Labels, labelValues, seriesOf } from '@/shared/api/prom';
import { logLabelValues, logSeries } from './logs/api';
import { selectorOf } from './logs/selector';

type ValuesOf = (label: string) => Promise<string[]>;
type Exists = (selector: string) => Promise<boolean>;

/** Labels of the other side's own making. */
const OWN = new Set(['__name__', 'le', 'quantile', 'detected_level']);

/**
 * A selector of the labels that the other side has with the same value. Labels that are there but never together are left
 * out one after the other. Null when nothing is common.
 */
async function common(labels: Labels, values: ValuesOf, exists: Exists): Promise<string | null> {
  const names = Object.keys(labels)
    .filter((name) => !OWN.has(name) && labels[name] !== '')
    .sort();
  const there = await Promise.all(
    names.map((name) =>
      values(name).then(
        (all) => all.includes(labels[name] as string),
        () => false,
      ),
    ),
  );
  const kept = names.filter((_, i) => there[i]);
  let chosen: Labels = {};
  for (const name of kept) {
    const wider = { ...chosen, [name]: labels[name] as string };
    if (await exists(selectorOf(wider))) chosen = wider;
  }
  return Object.keys(chosen).length > 0 ? selectorOf(chosen) : null;
}

export function metricsLike(labels: Labels): Promise<string | null> {
  return common(labels, labelValues, async (selector) => (await seriesOf(selector, 1)).length > 0);
}

export function logsLike(labels: Labels): Promise<string | null> {
  return common(labels, logLabelValues, async (selector) => (await logSeries(selector)).length > 0);
}
