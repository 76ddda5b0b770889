// SPDX-License-Identifier: Apache-2.0
// From a metrics series to the logs of the same labels and back, carrying only labels that exist on both sides.
import { type Labels, labelValues } from '@/shared/api/prom';
import { logLabelValues } from './logs/api';
import { selectorOf } from './logs/selector';

/** Whether anything has all these labels; asked by the values of one of them, which are one or none. */
type Exists = (label: string, selector: string) => Promise<boolean>;

/** Labels of the other side's own making. */
const OWN = new Set(['__name__', 'le', 'quantile', 'detected_level']);

/**
 * A selector of the labels that the other side has with the same value. Labels that are there but never together are left
 * out one after the other. Null when nothing is common.
 */
async function common(labels: Labels, exists: Exists): Promise<string | null> {
  const names = Object.keys(labels)
    .filter((name) => !OWN.has(name) && labels[name] !== '')
    .sort();
  const alone = (name: string): Labels => ({ [name]: labels[name] as string });
  const there = await Promise.all(names.map((name) => exists(name, selectorOf(alone(name))).catch(() => false)));
  let chosen: Labels = {};
  for (const name of names.filter((_, i) => there[i])) {
    const wider = { ...chosen, ...alone(name) };
    if (Object.keys(chosen).length === 0 || (await exists(name, selectorOf(wider)))) chosen = wider;
  }
  return Object.keys(chosen).length > 0 ? selectorOf(chosen) : null;
}

export function metricsLike(labels: Labels): Promise<string | null> {
  return common(labels, async (label, selector) => (await labelValues(label, selector, 1)).length > 0);
}

export function logsLike(labels: Labels): Promise<string | null> {
  return common(labels, async (label, selector) => (await logLabelValues(label, selector)).length > 0);
}
