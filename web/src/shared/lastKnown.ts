// SPDX-License-Identifier: Apache-2.0
// What was wrong when this device last saw it, for the page that is shown while the server does not answer. The age
// goes with it, always.

export interface LastKnown {
  atMs: number;
  wrong: { level: string; what: string; why: string }[];
}

const KEY = 'tocayo.last-known';

export function rememberState(state: LastKnown): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...state, wrong: state.wrong.slice(0, 20) }));
  } catch {
    // Private mode: the offline page then says that it knows nothing.
  }
}

export function forgetState(): void {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Nothing was kept.
  }
}

export function lastKnownState(): LastKnown | null {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? 'null') as LastKnown | null;
    return value && typeof value.atMs === 'number' && Array.isArray(value.wrong) ? value : null;
  } catch {
    return null;
  }
}
