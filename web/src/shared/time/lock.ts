// SPDX-License-Identifier: Apache-2.0
// The range that goes along from page to page in this tab while it is locked.
import { createStore } from '../store';
import type { RawRange } from './range';

const KEY = 'tocayo.timelock';

function load(): RawRange | null {
  try {
    const value = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Partial<RawRange> | null;
    return typeof value?.from === 'string' && typeof value.to === 'string' ? { from: value.from, to: value.to } : null;
  } catch {
    return null;
  }
}

export const timeLock = createStore<RawRange | null>(load());

export function lockRange(range: RawRange | null): void {
  const held = timeLock.get();
  if (range && held && range.from === held.from && range.to === held.to) return;
  timeLock.set(range && { from: range.from, to: range.to });
  try {
    if (range) sessionStorage.setItem(KEY, JSON.stringify(timeLock.get()));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Private mode: the lock holds until the tab is loaded again.
  }
}
