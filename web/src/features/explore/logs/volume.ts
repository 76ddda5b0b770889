// SPDX-License-Identifier: Apache-2.0
// How many lines there are over time: of one query by level, of several by query.
import type { TFunction } from 'i18next';
import { type ChartModel, fromFrame, NO_MODEL, type SeriesModel, seriesId, timesOf } from '@/shared/charts/model';
import type { Grid } from '@/shared/frames/matrix';
import type { RangeAnswer } from '@/shared/frames/rangeQuery';
import { type Range, stepFor } from '@/shared/time/range';
import { LEVELS, type Level, levelOf } from './lines';
import type { Part } from './parts';

/** Places in the palette that come nearest to the colours of levels; what has no level is grey. */
const SLOTS: Record<Level, number> = { critical: 2, error: 4, warn: 1, info: 0, debug: 3, trace: 8, unknown: -1 };
const BARS = 100;

/** Whole steps: a count belongs to the step before its time. */
export function volumeGrid({ fromMs, toMs }: Range): Grid {
  const stepMs = stepFor(toMs - fromMs, BARS);
  return {
    startMs: (Math.floor(fromMs / stepMs) + 1) * stepMs,
    endMs: Math.ceil(toMs / stepMs) * stepMs,
    stepMs,
  };
}

export function volumeExpr(logPart: string, stepMs: number, byLevel: boolean): string {
  return `sum ${byLevel ? 'by (detected_level) ' : ''}(count_over_time(${logPart} [${stepMs / 1000}s]))`;
}

/** Two points with the same value for each step, so that it is drawn as a bar. No lines is 0, not a gap. */
function asBars(model: ChartModel, stepMs: number): ChartModel {
  const x = new Float64Array(model.x.length * 2);
  for (const [k, ms] of model.x.entries()) x.set([ms - stepMs, ms - 1], 2 * k);
  const bars = (s: SeriesModel): SeriesModel => ({
    ...s,
    pyramid: [],
    values: Float64Array.from(x, (_ms, k) => s.values[k >> 1] || 0),
  });
  return { x, series: model.series.map(bars) };
}

export function levelsModel(answer: RangeAnswer, t: TFunction<'explore'>): ChartModel {
  const level = (labels: Record<string, string>) => levelOf(labels.detected_level);
  const model = fromFrame(answer, {
    key: 'volume',
    name: (labels) => t(`logs.level.${level(labels)}`),
    rank: (labels) => -LEVELS.indexOf(level(labels)),
  });
  const series = model.series.map((s) => ({ ...s, slot: SLOTS[level(s.labels)] }));
  return asBars({ ...model, series }, answer.stepMs);
}

export interface Counted {
  refId: string;
  expr: string;
}

/** A series for each query that was answered, also for one that found nothing: its counts are 0. */
export function queriesModel(parts: readonly Part<RangeAnswer>[], queries: readonly Counted[]): ChartModel {
  const answered = parts.flatMap(({ refId, value }) => (value ? [{ refId, value }] : []));
  const [first] = answered;
  if (!first || answered.every(({ value }) => value.columns.length === 0)) return NO_MODEL;
  const x = timesOf(first.value);
  const series = answered.map(({ refId, value }): SeriesModel => {
    const at = queries.findIndex((query) => query.refId === refId);
    const name = `${refId}: ${queries[at]?.expr ?? ''}`;
    const values = value.columns[0]?.values ?? new Float64Array(x.length);
    return { id: seriesId(refId, {}), name, labels: {}, values, pyramid: [], slot: at };
  });
  return asBars({ x, series }, first.value.stepMs);
}

/** Lines of one series of bars. */
export function linesIn(series: SeriesModel): number {
  return series.values.reduce((a, b) => a + b, 0) / 2;
}
