// SPDX-License-Identifier: Apache-2.0
// How this person reads tooltips: every series, the nearest one, or none; and in which order.
import { createStore } from '../store';

export type TooltipMode = 'all' | 'single' | 'none';
export type TooltipSort = 'desc' | 'asc' | 'name';
export const TOOLTIP_MODES: readonly TooltipMode[] = ['all', 'single', 'none'];
export const TOOLTIP_SORTS: readonly TooltipSort[] = ['desc', 'asc', 'name'];

export interface TooltipPrefs {
  mode: TooltipMode;
  sort: TooltipSort;
}

const KEY = 'tocayo.tooltip';

function load(): TooltipPrefs {
  let value: Partial<TooltipPrefs> | null = null;
  try {
    value = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<TooltipPrefs> | null;
  } catch {
    // Private mode, or something else wrote there: the defaults hold.
  }
  return {
    mode: TOOLTIP_MODES.find((m) => m === value?.mode) ?? 'all',
    sort: TOOLTIP_SORTS.find((s) => s === value?.sort) ?? 'desc',
  };
}

export const tooltipPrefs = createStore<TooltipPrefs>(load());

export function setTooltipPrefs(change: Partial<TooltipPrefs>): void {
  tooltipPrefs.set({ ...tooltipPrefs.get(), ...change });
  try {
    localStorage.setItem(KEY, JSON.stringify(tooltipPrefs.get()));
  } catch {
    // Private mode.
  }
}
