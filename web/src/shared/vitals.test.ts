// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, vi } from 'vitest';
import { areaOf, Interactions, Shifts } from './vitals';

describe('areas', () => {
  it('knows the areas of the page, below a base path too, and calls the rest other', () => {
    expect(areaOf('/', '')).toBe('home');
    expect(areaOf('/explore', '')).toBe('explore');
    expect(areaOf('/hosts/web-3', '')).toBe('hosts');
    expect(areaOf('/obs/me', '/obs')).toBe('profile');
    expect(areaOf('/obs', '/obs')).toBe('home');
    expect(areaOf('/secret/path', '')).toBe('other');
  });
});

describe('interactions', () => {
  it('tells the slowest of few', () => {
    const seen = new Interactions();
    expect(seen.verdict()).toBeUndefined();
    for (const [id, ms] of [
      [1, 40],
      [2, 300],
      [2, 310],
      [3, 24],
      [0, 900],
    ] as const)
      seen.add(id, ms);
    expect(seen.verdict()).toBe(310);
    expect(seen.slow).toBe(1);
  });

  it('forgives one of fifty', () => {
    const seen = new Interactions();
    for (let id = 1; id <= 60; id++) seen.add(id, id === 30 ? 2000 : id);
    expect(seen.verdict()).toBe(60);
  });
});

describe('layout shifts', () => {
  it('sums what is close together and keeps the worst window', () => {
    const shifts = new Shifts();
    shifts.add(100, 0.1);
    shifts.add(900, 0.05);
    shifts.add(5000, 0.12);
    expect(shifts.worst).toBeCloseTo(0.15);
    shifts.add(5500, 0.2);
    expect(shifts.worst).toBeCloseTo(0.32);
  });

  it('ends a window after five seconds', () => {
    const shifts = new Shifts();
    for (let at = 0; at <= 8000; at += 800) shifts.add(at, 0.01);
    expect(shifts.worst).toBeCloseTo(0.07);
  });
});

describe('watching', () => {
  it('tells the server once, when the page goes away, what the person felt', async () => {
    const observers = new Map<string, (entries: object[]) => void>();
    class Observer {
      constructor(private readonly told: (list: { getEntries: () => object[] }) => void) {}
      observe({ type }: { type: string }) {
        if (type === 'event') throw new Error('not known here');
        observers.set(type, (entries) => this.told({ getEntries: () => entries }));
      }
    }
    vi.stubGlobal('PerformanceObserver', Observer);
    const sent: Blob[] = [];
    Object.defineProperty(navigator, 'sendBeacon', {
      configurable: true,
      value: (_: string, body: Blob) => sent.push(body),
    });
    let visibility = 'visible';
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => visibility });
    const { watchVitals } = await import('./vitals');
    watchVitals();
    const hide = () => {
      visibility = 'hidden';
      document.dispatchEvent(new Event('visibilitychange'));
    };
    hide(); // nothing was painted: nothing is told
    expect(sent).toHaveLength(0);
    observers.get('paint')?.([
      { name: 'first-paint', startTime: 1 },
      { name: 'first-contentful-paint', startTime: 120.6 },
    ]);
    observers.get('largest-contentful-paint')?.([{ startTime: 300 }, { startTime: 450.4 }]);
    observers.get('layout-shift')?.([
      { startTime: 1, value: 0.01, hadRecentInput: false },
      { startTime: 2, value: 0.5, hadRecentInput: true },
    ]);
    window.dispatchEvent(new CustomEvent('tocayo:chunk-error'));
    hide();
    hide();
    expect(sent).toHaveLength(1);
    expect(JSON.parse(await (sent[0] as Blob).text())).toEqual({
      page: 'home',
      fcp: 121,
      lcp: 450,
      cls: 0.01,
      chunkErrors: 1,
    });
    vi.unstubAllGlobals();
  });

  it('tells nothing of people who are not signed in', async () => {
    const { boot } = await import('./api/boot');
    const { watchVitals } = await import('./vitals');
    const listen = vi.spyOn(document, 'addEventListener');
    boot.authMode = 'required';
    watchVitals();
    boot.authMode = 'off';
    expect(listen).not.toHaveBeenCalled();
  });
});
