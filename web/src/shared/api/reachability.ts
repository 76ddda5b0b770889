// SPDX-License-Identifier: Apache-2.0
// Whether the server answers at all. While it does not, one probe runs with growing pauses and the shell shows one banner.
import { createStore } from '../store';
import { withBase } from './boot';

export interface Reachability {
  up: boolean;
  /** When the next probe is due, epoch milliseconds; 0 while up. */
  retryAtMs: number;
}

export const reachability = createStore<Reachability>({ up: true, retryAtMs: 0 });

let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

export function reportReachability(up: boolean): void {
  if (up) {
    failures = 0;
    clearTimeout(timer);
    timer = undefined;
    if (!reachability.get().up) reachability.set({ up: true, retryAtMs: 0 });
    return;
  }
  if (timer !== undefined) return;
  failures += 1;
  const pause = Math.min(30_000, 1000 * 2 ** Math.min(failures, 5)) * (0.8 + Math.random() * 0.4);
  reachability.set({ up: false, retryAtMs: Date.now() + pause });
  timer = setTimeout(probeNow, pause);
}

export async function probeNow(): Promise<void> {
  clearTimeout(timer);
  timer = undefined;
  try {
    const response = await fetch(withBase('/-/healthy'), { cache: 'no-store' });
    reportReachability(response.ok);
  } catch {
    reportReachability(false);
  }
}
