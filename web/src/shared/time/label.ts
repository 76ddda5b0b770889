// SPDX-License-Identifier: Apache-2.0
import type { TFunction } from 'i18next';
import { formatClock, formatStamp } from './format';
import { quickKeyOf } from './quickRanges';
import { isRelativeRange, type Range, type RawRange } from './range';
import { toCivil, type Zone } from './zone';

/** The range in words when it is a known one, as written when relative, else as two times. */
export function rangeLabel(raw: RawRange, range: Range, zone: Zone, t: TFunction<'common'>): string {
  const key = quickKeyOf(raw);
  if (key) return t(key);
  if (isRelativeRange(raw)) return `${raw.from} → ${raw.to}`;
  const [a, b] = [toCivil(range.fromMs, zone), toCivil(range.toMs, zone)];
  const sameDay = a.year === b.year && a.month === b.month && a.day === b.day;
  const end = sameDay ? formatClock(range.toMs, zone) : formatStamp(range.toMs, zone);
  return `${formatStamp(range.fromMs, zone)} → ${end}`;
}
