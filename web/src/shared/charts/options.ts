// SPDX-License-Identifier: Apache-2.0
// uPlot's options for one chart: our tokens, our ticks, our zone.
import type uPlot from 'uplot';
import { seriesColour, seriesDash, themeTokens } from '../theme';
import { axisLabels } from '../time/format';
import type { Zone } from '../time/zone';
import { formatValue, type Unit } from '../units/format';
import type { SeriesModel } from './model';
import { BYTE_STEPS, timeTicks } from './ticks';

export type ChartMode = 'line' | 'area' | 'stack';

export interface LookOptions {
  unit: Unit;
  mode: ChartMode;
  zone: Zone;
  min?: number | undefined;
  max?: number | undefined;
  syncKey?: string | undefined;
  compact?: boolean | undefined;
}

const FONT = '11px "Inter Variable", system-ui, sans-serif';

function withAlpha(hex: string, alpha: number): string {
  return `${hex}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, '0')}`;
}

export function seriesOptions(
  series: readonly SeriesModel[],
  hidden: ReadonlySet<string>,
  mode: ChartMode,
): uPlot.Series[] {
  return [
    {},
    ...series.map((s): uPlot.Series => {
      const colour = seriesColour(s.slot);
      const dash = seriesDash(s.slot);
      const out: uPlot.Series = {
        label: s.name,
        stroke: colour,
        width: mode === 'stack' ? 1 : 1.5,
        show: !hidden.has(s.id),
        spanGaps: false,
        points: { show: lonelyPoints, size: 4, stroke: colour, fill: colour },
      };
      if (dash) out.dash = dash;
      if (mode === 'stack') out.fill = withAlpha(colour, s.slot < 0 ? 0.16 : 0.62);
      else if (mode === 'area') out.fill = withAlpha(colour, 0.14);
      return out;
    }),
  ];
}

/** A sample between two gaps has no line: draw it as a dot. Few points are shown all. */
const lonelyPoints: uPlot.Series.Points.Show = (u, seriesIdx) => {
  const data = u.data[seriesIdx] as (number | null | undefined)[] | undefined;
  if (!data) return false;
  let known = 0;
  let lines = 0;
  for (let k = 0; k < data.length; k++) {
    if (data[k] === null || data[k] === undefined) continue;
    known += 1;
    if (k > 0 && data[k - 1] !== null && data[k - 1] !== undefined) lines += 1;
    if (lines > 0) return false;
  }
  return known > 0;
};

export function chartOptions(
  look: LookOptions,
  width: number,
  height: number,
  series: uPlot.Series[],
  bands: uPlot.Band[],
  hooks: uPlot.Hooks.Arrays,
): uPlot.Options {
  const tokens = themeTokens().component;
  const grid = { stroke: tokens.grid, width: 1 };
  let xStep = 60_000;
  const byBytes = look.unit === 'bytes' || look.unit === 'bytesPerSecond';
  const yAxis: uPlot.Axis = {
    stroke: tokens.axis,
    font: FONT,
    grid,
    ticks: { show: false },
    gap: 6,
    space: 28,
    values: (_u, splits) => splits.map((v) => formatValue(v, look.unit)),
    size: (_u, values) => Math.max(34, ...(values ?? []).map((v) => Math.ceil(v.length * 6.3) + 14)),
  };
  if (byBytes) yAxis.incrs = BYTE_STEPS;
  return {
    width,
    height,
    ms: 1,
    padding: [8, 10, 0, 0],
    legend: { show: false },
    cursor: {
      x: true,
      y: false,
      points: { size: 7, width: 1.5 },
      focus: { prox: 24 },
      drag: { x: true, y: false, setScale: false, dist: 4 },
      bind: { dblclick: () => () => null },
      ...(look.syncKey ? { sync: { key: look.syncKey, setSeries: false } } : {}),
    },
    focus: { alpha: 0.35 },
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, auto: false },
      y: {
        range: (_u, dataMin, dataMax) => yRange(dataMin, dataMax, look),
      },
    },
    axes: [
      {
        stroke: tokens.axis,
        font: FONT,
        grid: { ...grid, show: !look.compact },
        ticks: { show: false },
        gap: 4,
        size: 26,
        splits: (u, _axis, min, max) => {
          const ticks = timeTicks(min, max, Math.max(2, Math.floor(u.bbox.width / devicePixelRatio / 90)), look.zone);
          xStep = ticks.stepMs;
          // A label at the very edge would be cut off.
          const edge = ((max - min) * 22) / Math.max(1, u.bbox.width / devicePixelRatio);
          return ticks.at.filter((tick) => tick <= max - edge);
        },
        values: (_u, splits) => axisLabels(splits, xStep, look.zone),
      },
      yAxis,
    ],
    series,
    bands,
    hooks,
  };
}

/** Room above the data, zero kept when the data is near it, and never a scale of no height. */
export function yRange(
  dataMin: number | null,
  dataMax: number | null,
  look: Pick<LookOptions, 'min' | 'max' | 'mode'> & { unit?: Unit },
): [number, number] {
  let min = dataMin ?? 0;
  let max = dataMax ?? 1;
  if (look.mode === 'stack') min = Math.min(0, min);
  if (min > 0 && min < (max - min) * 2) min = 0;
  if (look.min !== undefined) min = Math.min(look.min, dataMin ?? look.min);
  if (look.max !== undefined) max = Math.max(look.max, dataMax ?? look.max);
  if (min === max) {
    // Nothing at all, in bytes: a scale of single bytes would be silly.
    if (max === 0 && look.unit?.startsWith('bytes')) return [0, 1024];
    const around = Math.abs(max) * 0.1 || 1;
    return [min === 0 ? 0 : min - around, max + around];
  }
  const pad = (max - min) * 0.08;
  return [
    min < 0 || (min > 0 && look.min === undefined) ? min - pad : min,
    look.max !== undefined && max <= look.max ? max : max + pad,
  ];
}

/** Running sums for stacked drawing, top series first to be painted; hidden ones add nothing. */
export function stacked(
  series: readonly SeriesModel[],
  hidden: ReadonlySet<string>,
): { columns: (number | null)[][]; bands: uPlot.Band[] } {
  const length = series[0]?.values.length ?? 0;
  const sums = new Array<number>(length).fill(0);
  const columns = series.map((s) => {
    if (hidden.has(s.id)) return s.values;
    return s.values.map((value, k) => {
      if (value === null) return null;
      sums[k] = (sums[k] ?? 0) + value;
      return sums[k] as number;
    });
  });
  const shown = series.map((s, i) => (hidden.has(s.id) ? -1 : i)).filter((i) => i >= 0);
  const bands: uPlot.Band[] = [];
  for (let n = 1; n < shown.length; n++)
    bands.push({ series: [(shown[n] as number) + 1, (shown[n - 1] as number) + 1] });
  return { columns, bands };
}
