// SPDX-License-Identifier: Apache-2.0
import type { RawRange } from './range';

export interface QuickRange extends RawRange {
  /** Key of the label in the common catalogue. */
  key: QuickKey;
}

const last = (key: QuickKey, span: string): QuickRange => ({ key, from: `now-${span}`, to: 'now' });

export type QuickKey = `range.${
  | '5m'
  | '15m'
  | '30m'
  | '1h'
  | '3h'
  | '6h'
  | '12h'
  | '24h'
  | '2d'
  | '7d'
  | '30d'
  | '90d'
  | '6M'
  | '1y'
  | '2y'
  | '5y'
  | 'today'
  | 'todaySoFar'
  | 'thisWeek'
  | 'thisWeekSoFar'
  | 'thisMonth'
  | 'thisMonthSoFar'
  | 'thisYear'
  | 'thisYearSoFar'
  | 'yesterday'
  | 'dayBefore'
  | 'dayLastWeek'
  | 'previousWeek'
  | 'previousMonth'
  | 'previousYear'
  | 'fiscalQuarter'
  | 'fiscalQuarterSoFar'
  | 'previousFiscalQuarter'
  | 'fiscalYear'
  | 'fiscalYearSoFar'
  | 'previousFiscalYear'}`;

export const QUICK_RANGES: readonly QuickRange[] = [
  last('range.5m', '5m'),
  last('range.15m', '15m'),
  last('range.30m', '30m'),
  last('range.1h', '1h'),
  last('range.3h', '3h'),
  last('range.6h', '6h'),
  last('range.12h', '12h'),
  last('range.24h', '24h'),
  last('range.2d', '2d'),
  last('range.7d', '7d'),
  last('range.30d', '30d'),
  last('range.90d', '90d'),
  last('range.6M', '6M'),
  last('range.1y', '1y'),
  last('range.2y', '2y'),
  last('range.5y', '5y'),
  { key: 'range.today', from: 'now/d', to: 'now/d' },
  { key: 'range.todaySoFar', from: 'now/d', to: 'now' },
  { key: 'range.thisWeek', from: 'now/w', to: 'now/w' },
  { key: 'range.thisWeekSoFar', from: 'now/w', to: 'now' },
  { key: 'range.thisMonth', from: 'now/M', to: 'now/M' },
  { key: 'range.thisMonthSoFar', from: 'now/M', to: 'now' },
  { key: 'range.thisYear', from: 'now/y', to: 'now/y' },
  { key: 'range.thisYearSoFar', from: 'now/y', to: 'now' },
  { key: 'range.yesterday', from: 'now-1d/d', to: 'now-1d/d' },
  { key: 'range.dayBefore', from: 'now-2d/d', to: 'now-2d/d' },
  { key: 'range.dayLastWeek', from: 'now-7d/d', to: 'now-7d/d' },
  { key: 'range.previousWeek', from: 'now-1w/w', to: 'now-1w/w' },
  { key: 'range.previousMonth', from: 'now-1M/M', to: 'now-1M/M' },
  { key: 'range.previousYear', from: 'now-1y/y', to: 'now-1y/y' },
  { key: 'range.fiscalQuarter', from: 'now/fQ', to: 'now/fQ' },
  { key: 'range.fiscalQuarterSoFar', from: 'now/fQ', to: 'now' },
  { key: 'range.previousFiscalQuarter', from: 'now-1Q/fQ', to: 'now-1Q/fQ' },
  { key: 'range.fiscalYear', from: 'now/fy', to: 'now/fy' },
  { key: 'range.fiscalYearSoFar', from: 'now/fy', to: 'now' },
  { key: 'range.previousFiscalYear', from: 'now-1y/fy', to: 'now-1y/fy' },
];

export function quickKeyOf(raw: RawRange): QuickKey | undefined {
  return QUICK_RANGES.find((q) => q.from === raw.from && q.to === raw.to)?.key;
}
