// SPDX-License-Identifier: Apache-2.0
import { requestBytes } from '../api/request';
import { charts } from './client';
import type { Grid, RangeFrame } from './matrix';

export interface RangeAnswer extends RangeFrame {
  /** From asking until the columns were here. */
  elapsedMs: number;
}

const seconds = (ms: number) => String(ms / 1000);

/** One `query_range`: decoded off the page's thread. Start and end must be multiples of the step. */
export async function queryColumns(query: string, grid: Grid, signal?: AbortSignal): Promise<RangeAnswer> {
  const started = performance.now();
  const form = new URLSearchParams({
    query,
    start: seconds(grid.startMs),
    end: seconds(grid.endMs),
    step: seconds(grid.stepMs),
    stats: 'true',
  });
  const bytes = await requestBytes('/api/v1/query_range', { method: 'POST', form, signal });
  const frame = await charts.run({ kind: 'matrix', bytes, grid });
  return { ...frame, elapsedMs: performance.now() - started };
}
