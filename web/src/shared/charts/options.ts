// SPDX-License-Identifier: Apache-2.0
// uPlot draws the axes and keeps the scales: our tokens, our ticks, our zone. Series are drawn by painter.ts.
import type uPlot from 'uplot';
import type { Connect } from '../frames/trace';
import { themeTokens } from '../theme';
import { axisLabels } from '../time/format';
import type { Zone } from '../time/zone';
import { formatValue, type Unit } from '../units/format';
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
  /** Whether a line goes on over missing steps. */
  connect?: Connect | undefined;
}

/** Canvases hold at most two pixels per CSS pixel; on denser screens the plot is laid out smaller and scaled up. */
export function shrinkFor(ratio: number): number {
  return ratio > 2 ? 2 / ratio : 1;
}

export function chartOptions(
  look: LookOptions,
  width: number,
  height: number,
  shrink: number,
  hooks: uPlot.Hooks.Arrays,
): uPlot.Options {
  const tokens = themeTokens().component;
  // uPlot reads whole pixels only.
  const font = `${Math.round(11 * shrink)}px "Inter Variable", system-ui, sans-serif`;
  const grid = { stroke: tokens.grid, width: shrink };
  let xStep = 60_000;
  const byBytes = look.unit === 'bytes' || look.unit === 'bytesPerSecond';
  const yAxis: uPlot.Axis = {
    stroke: tokens.axis,
    font,
    grid,
    ticks: { show: false },
    gap: 6 * shrink,
    space: 28 * shrink,
    values: (_u, splits) => splits.map((v) => formatValue(v, look.unit)),
    size: (_u, values) => Math.max(34, ...(values ?? []).map((v) => Math.ceil(v.length * 6.3) + 14)) * shrink,
  };
  if (byBytes) yAxis.incrs = BYTE_STEPS;
  const cssWidth = (u: uPlot) => u.bbox.width / devicePixelRatio / shrink;
  return {
    width,
    height,
    ms: 1,
    padding: [8 * shrink, 10 * shrink, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true, auto: false },
      y: { auto: false, range: (_u, min, max) => [min ?? 0, max ?? 1] },
    },
    axes: [
      {
        stroke: tokens.axis,
        font,
        grid: { ...grid, show: !look.compact },
        ticks: { show: false },
        gap: 4 * shrink,
        size: 26 * shrink,
        splits: (u, _axis, min, max) => {
          const ticks = timeTicks(min, max, Math.max(2, Math.floor(cssWidth(u) / 90)), look.zone);
          xStep = ticks.stepMs;
          // A label at the very edge would be cut off.
          const edge = ((max - min) * 22) / Math.max(1, cssWidth(u));
          return ticks.at.filter((tick) => tick <= max - edge);
        },
        values: (_u, splits) => axisLabels(splits, xStep, look.zone),
      },
      yAxis,
    ],
    series: [{}, { show: true, auto: false, paths: () => null, points: { show: false } }],
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
