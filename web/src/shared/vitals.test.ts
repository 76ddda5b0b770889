// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
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
