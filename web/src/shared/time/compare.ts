// SPDX-License-Identifier: Apache-2.0
// What a page is compared with: the period before, the same time a day or a week ago, or any distance.
import type { TFunction } from 'i18next';
import { evaluate } from './math';
import type { Range } from './range';
import type { Zone } from './zone';

/** '' is no comparison, `previous` the period before this one, else a distance like `1d`. */
export type Compare = string;

const DISTANCE = /^([1-9]\d{0,4})(s|m|h|d|w|M|Q|y)$/;

/** The comparison as it is kept in a link; null when the text means nothing. */
export function parseCompare(text: string): Compare | null {
  const compact = text.replace(/\s+/g, '');
  if (compact === '' || compact === 'previous') return compact;
  const known: Record<string, string> = { yesterday: '1d', lastweek: '1w' };
  const distance = known[compact.toLowerCase()] ?? (/^\d/.test(compact) ? compact : `1${compact}`);
  return DISTANCE.test(distance) ? distance : null;
}

/** How far back, milliseconds. Days and longer follow the calendar of the zone, also over a DST change. */
export function compareShift(compare: Compare, range: Range, zone: Zone): number | null {
  if (compare === '') return null;
  if (compare === 'previous') return range.toMs - range.fromMs;
  if (!DISTANCE.test(compare)) return null;
  const to = Math.round(range.toMs);
  const past = evaluate(`${new Date(to).toISOString()}||-${compare}`, false, { nowMs: to, zone });
  return past === null || past >= to ? null : to - past;
}

/** In words: what stands in the menu and behind the names of the older series. */
export function compareLabel(compare: Compare, t: TFunction<'common'>): string {
  switch (compare) {
    case '':
      return t('compare.off');
    case 'previous':
      return t('compare.previous');
    case '1d':
      return t('compare.yesterday');
    case '1w':
      return t('compare.lastWeek');
    default:
      return t('compare.earlier', { distance: compare });
  }
}
