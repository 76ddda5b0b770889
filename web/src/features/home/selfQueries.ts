// SPDX-License-Identifier: Apache-2.0
// Names under which Tocayo publishes itself, in one place.
import type { Unit } from '@/shared/units/format';

export interface SelfTile {
  id: 'ingest' | 'series' | 'rss' | 'cpu' | 'fsync' | 'query';
  expr: string;
  unit: Unit;
}

const SELF = 'job="tocayo"';

export const SELF_TILES: readonly SelfTile[] = [
  { id: 'ingest', expr: `sum(rate(tocayo_metrics_samples_appended_total[1m]))`, unit: 'perSecond' },
  { id: 'series', expr: 'sum(tocayo_metrics_active_series)', unit: 'count' },
  { id: 'rss', expr: `process_resident_memory_bytes{${SELF}}`, unit: 'bytes' },
  { id: 'cpu', expr: `rate(process_cpu_seconds_total{${SELF}}[1m])`, unit: 'percentunit' },
  {
    id: 'fsync',
    expr: 'histogram_quantile(0.99, sum by (le) (rate(tocayo_journal_fsync_seconds_bucket[1m])))',
    unit: 'seconds',
  },
  {
    id: 'query',
    expr: 'histogram_quantile(0.99, sum by (le) (rate(tocayo_promql_query_duration_seconds_bucket[1m])))',
    unit: 'seconds',
  },
];
