// SPDX-License-Identifier: Apache-2.0
// An answer of `query_range` as columns on its step grid. Runs in a worker; nothing here knows the page.
import { buffersOf, buildPyramid, PYRAMID_FROM, type Pyramid } from './pyramid';

export type Labels = Record<string, string>;

export interface Column {
  labels: Labels;
  /** One value per step; NaN where there is none. */
  values: Float64Array;
  /** Empty for short columns. */
  pyramid: Pyramid;
}

export interface Grid {
  startMs: number;
  endMs: number;
  stepMs: number;
}

export interface RangeFrame extends Grid {
  columns: Column[];
  warnings: string[];
  infos: string[];
  /** Series that hold native histograms only: they have no line. */
  histogramSeries: number;
  /** Server's own account, when it was asked for. */
  stats: unknown;
  bytes: number;
  samples: number;
}

interface MatrixRow {
  metric: Labels;
  values?: [number, string][];
  histograms?: unknown[];
}

export function stepCount({ startMs, endMs, stepMs }: Grid): number {
  return Math.max(0, Math.floor((endMs - startMs) / stepMs) + 1);
}

/** Text of a sample to a number that can be drawn: NaN and infinities are gaps. */
export function drawable(text: string): number {
  const value = Number(text);
  return Number.isFinite(value) ? value : Number.NaN;
}

function column(row: MatrixRow, grid: Grid, count: number): Column {
  const values = new Float64Array(count).fill(Number.NaN);
  for (const [seconds, text] of row.values ?? []) {
    const k = Math.round((seconds * 1000 - grid.startMs) / grid.stepMs);
    if (k >= 0 && k < count) values[k] = drawable(text);
  }
  return { labels: row.metric, values, pyramid: count >= PYRAMID_FROM ? buildPyramid(values) : [] };
}

/** Throws on text that is no successful answer of `query_range`. */
export function decodeMatrix(bytes: ArrayBuffer | Uint8Array, grid: Grid): RangeFrame {
  const answer = JSON.parse(new TextDecoder().decode(bytes)) as {
    status?: string;
    data?: { resultType?: string; result?: MatrixRow[]; stats?: unknown };
    warnings?: string[];
    infos?: string[];
  };
  const rows = answer.data?.result;
  if (answer.status !== 'success' || answer.data?.resultType !== 'matrix' || !Array.isArray(rows))
    throw new Error('The answer is no range result.');
  const count = stepCount(grid);
  let samples = 0;
  let histogramSeries = 0;
  const columns: Column[] = [];
  for (const row of rows) {
    samples += row.values?.length ?? 0;
    if (row.values === undefined && row.histograms !== undefined) histogramSeries += 1;
    else columns.push(column(row, grid, count));
  }
  return {
    ...grid,
    columns,
    warnings: answer.warnings ?? [],
    infos: answer.infos ?? [],
    histogramSeries,
    stats: answer.data.stats ?? null,
    bytes: bytes.byteLength,
    samples,
  };
}

export const sameGrid = (a: Grid, b: Grid): boolean =>
  a.startMs === b.startMs && a.endMs === b.endMs && a.stepMs === b.stepMs;

/** A frame of another range or step put on this grid, for as long as the right one is under way. */
export function onGrid(frame: RangeFrame, grid: Grid): RangeFrame {
  if (sameGrid(frame, grid)) return frame;
  const count = stepCount(grid);
  const columns = frame.columns.map(({ labels, values: old }) => {
    const values = new Float64Array(count).fill(Number.NaN);
    for (let k = 0; k < count; k++) {
      const at = Math.round((grid.startMs + k * grid.stepMs - frame.startMs) / frame.stepMs);
      if (at >= 0 && at < old.length) values[k] = old[at] as number;
    }
    return { labels, values, pyramid: [] };
  });
  return { ...frame, startMs: grid.startMs, endMs: grid.endMs, stepMs: grid.stepMs, columns };
}

/** Memory that may move to another thread together with the frame. */
export function transferables(frame: RangeFrame): ArrayBuffer[] {
  return frame.columns.flatMap((c) => [c.values.buffer as ArrayBuffer, ...buffersOf(c.pyramid)]);
}
