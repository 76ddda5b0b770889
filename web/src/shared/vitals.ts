// SPDX-License-Identifier: Apache-2.0
// How fast the page is for the person in front of it, told to our own server when the page goes away. No addresses, no
// names: the area of the page that was opened, and durations.
import { boot, withBase } from './api/boot';

const SLOW_MS = 200;
/** Of so many interactions one may be worse than what is told, so that one hiccup is not the verdict. */
const PER_OUTLIER = 50;
const KEPT = 10;
/** Shifts of one window: at most a second apart, at most five seconds in all. */
const SHIFT_GAP_MS = 1000;
const SHIFT_WINDOW_MS = 5000;

export interface VitalsReport {
  page: string;
  fcp?: number;
  lcp?: number;
  inp?: number;
  cls?: number;
  chunkErrors?: number;
  slow?: number;
}

const AREAS: Record<string, string> = { '': 'home', explore: 'explore', hosts: 'hosts', admin: 'admin', me: 'profile' };

export function areaOf(path: string, basePath: string): string {
  const own = path.startsWith(basePath) ? path.slice(basePath.length) : path;
  return AREAS[own.split('/')[1] ?? ''] ?? 'other';
}

/** The slowest interactions, one entry each; the verdict leaves out one in fifty. */
export class Interactions {
  private readonly slowest: { id: number; ms: number }[] = [];
  private readonly slowIds = new Set<number>();
  private count = 0;
  private lastId = 0;

  add(id: number, ms: number): void {
    if (id === 0) return;
    if (id > this.lastId) {
      this.lastId = id;
      this.count += 1;
    }
    if (ms > SLOW_MS) this.slowIds.add(id);
    const known = this.slowest.find((entry) => entry.id === id);
    if (known) known.ms = Math.max(known.ms, ms);
    else this.slowest.push({ id, ms });
    this.slowest.sort((a, b) => b.ms - a.ms);
    this.slowest.length = Math.min(this.slowest.length, KEPT);
  }

  get slow(): number {
    return this.slowIds.size;
  }

  verdict(): number | undefined {
    return this.slowest[Math.min(this.slowest.length - 1, Math.floor(this.count / PER_OUTLIER))]?.ms;
  }
}

/** The worst window of layout shifts. */
export class Shifts {
  private first = Number.NEGATIVE_INFINITY;
  private last = Number.NEGATIVE_INFINITY;
  private sum = 0;
  worst = 0;

  add(atMs: number, value: number): void {
    if (atMs - this.last > SHIFT_GAP_MS || atMs - this.first > SHIFT_WINDOW_MS) {
      this.first = atMs;
      this.sum = 0;
    }
    this.last = atMs;
    this.sum += value;
    this.worst = Math.max(this.worst, this.sum);
  }
}

interface ShiftEntry extends PerformanceEntry {
  value: number;
  hadRecentInput: boolean;
}

interface EventEntry extends PerformanceEntry {
  interactionId?: number;
}

function observe<T extends PerformanceEntry>(type: string, each: (entry: T) => void, more: object = {}): void {
  try {
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) each(entry as T);
    }).observe({ type, buffered: true, ...more } as PerformanceObserverInit);
  } catch {
    // A browser that does not know this sign: the others are told.
  }
}

export function watchVitals(): void {
  if (boot.authMode === 'required' && !boot.user) return;
  const report: VitalsReport = { page: areaOf(location.pathname, boot.basePath) };
  const interactions = new Interactions();
  const shifts = new Shifts();
  let chunkErrors = 0;
  observe('paint', (entry) => {
    if (entry.name === 'first-contentful-paint') report.fcp = Math.round(entry.startTime);
  });
  observe('largest-contentful-paint', (entry) => {
    report.lcp = Math.round(entry.startTime);
  });
  observe<ShiftEntry>('layout-shift', (entry) => {
    if (!entry.hadRecentInput) shifts.add(entry.startTime, entry.value);
  });
  observe<EventEntry>('event', (entry) => interactions.add(entry.interactionId ?? 0, entry.duration), {
    durationThreshold: 16,
  });
  window.addEventListener('tocayo:chunk-error', () => {
    chunkErrors += 1;
  });
  let told = false;
  document.addEventListener('visibilitychange', () => {
    // Never seen: nothing was painted, and the durations say nothing.
    if (document.visibilityState !== 'hidden' || told || report.fcp === undefined) return;
    told = true;
    const inp = interactions.verdict();
    const whole: VitalsReport = {
      ...report,
      cls: Math.round(Math.min(shifts.worst, 100) * 10_000) / 10_000,
      ...(inp === undefined ? {} : { inp: Math.round(inp) }),
      ...(interactions.slow > 0 ? { slow: Math.min(interactions.slow, 1000) } : {}),
      ...(chunkErrors > 0 ? { chunkErrors: Math.min(chunkErrors, 1000) } : {}),
    };
    navigator.sendBeacon(withBase('/api/ui/vitals'), new Blob([JSON.stringify(whole)], { type: 'application/json' }));
  });
}
