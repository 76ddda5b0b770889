// SPDX-License-Identifier: Apache-2.0
// The last five ranges used in this browser, zoomed ones included.
import { createStore } from '../store';
import type { RawRange } from './range';

const KEY = 'tocayo.ranges';
const LIMIT = 5;

function load(): RawRange[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(value)) return [];
    return value.filter((r: RawRange) => typeof r?.from === 'string' && typeof r?.to === 'string').slice(0, LIMIT);
  } catch {
    return [];
  }
}

export const recentRanges = createStore<RawRange[]>(load());

export function rememberRange(range: RawRange): void {
  const rest = recentRanges.get().filter((r) => r.from !== range.from || r.to !== range.to);
  recentRanges.set([{ from: range.from, to: range.to }, ...rest].slice(0, LIMIT));
  try {
    localStorage.setItem(KEY, JSON.stringify(recentRanges.get()));
  } catch {
    // Private mode.
  }
}
