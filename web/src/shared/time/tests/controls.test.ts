// SPDX-License-Identifier: Apache-2.0
import type { TFunction } from 'i18next';
import { beforeEach, describe, expect, it } from 'vitest';
import { compareLabel, compareShift, parseCompare } from '../compare';
import { rangeLabel } from '../label';
import { lockRange, timeLock } from '../lock';
import { QUICK_RANGES } from '../quickRanges';
import { resolveRange } from '../range';
import { recentRanges, rememberRange } from '../recent';
import { nextDue, refreshOf } from '../useNow';

const H = 3_600_000;
const range = { fromMs: Date.UTC(2026, 10, 24, 10), toMs: Date.UTC(2026, 10, 24, 12) };
const t = ((key: string, params?: object) => `${key}${params ? JSON.stringify(params) : ''}`) as TFunction<'common'>;

describe('comparison', () => {
  it('reads what people and links write', () => {
    for (const [text, want] of [
      ['', ''],
      ['previous', 'previous'],
      ['1d', '1d'],
      [' 36 h ', '36h'],
      ['w', '1w'],
      ['yesterday', '1d'],
      ['Last week', '1w'],
      ['0d', null],
      ['-1d', null],
      ['1x', null],
      ['soon', null],
    ])
      expect(parseCompare(text as string), text as string).toBe(want);
  });
  it('goes back by the span, a distance, or the calendar', () => {
    expect(compareShift('', range, 'utc')).toBeNull();
    expect(compareShift('bad', range, 'utc')).toBeNull();
    expect(compareShift('previous', range, 'utc')).toBe(2 * H);
    expect(compareShift('1d', range, 'utc')).toBe(24 * H);
    // On the day after the clocks went back, the same hour yesterday is 25 hours ago.
    const dst = { fromMs: Date.UTC(2026, 9, 25, 9), toMs: Date.UTC(2026, 9, 25, 11) };
    expect(compareShift('1d', dst, 'Europe/Madrid')).toBe(25 * H);
    expect(compareShift('1M', range, 'utc')).toBe(31 * 24 * H);
  });
  it('has a name', () => {
    expect(['', 'previous', '1d', '1w'].map((c) => compareLabel(c, t))).toEqual([
      'compare.off',
      'compare.previous',
      'compare.yesterday',
      'compare.lastWeek',
    ]);
    expect(compareLabel('2d', t)).toBe('compare.earlier{"distance":"2d"}');
  });
});

describe('time lock and recent ranges', () => {
  beforeEach(() => {
    lockRange(null);
    recentRanges.set([]);
  });
  it('keeps one range for the tab until it is opened', () => {
    lockRange({ from: 'now-2d', to: 'now' });
    const held = timeLock.get();
    lockRange({ from: 'now-2d', to: 'now' });
    expect(timeLock.get()).toBe(held);
    expect(JSON.parse(sessionStorage.getItem('tocayo.timelock') ?? '')).toEqual({ from: 'now-2d', to: 'now' });
    lockRange(null);
    expect([timeLock.get(), sessionStorage.getItem('tocayo.timelock')]).toEqual([null, null]);
  });
  it('remembers the last five, each once', () => {
    for (const from of ['a', 'b', 'c', 'd', 'e', 'f', 'c']) rememberRange({ from, to: 'now' });
    expect(recentRanges.get().map((r) => r.from)).toEqual(['c', 'f', 'e', 'd', 'b']);
  });
});

describe('refresh', () => {
  it('reads intervals, and aligns the automatic one to steps', () => {
    expect(refreshOf('10s', 0)).toEqual({ everyMs: 10_000, aligned: false });
    expect(refreshOf('1d', 0)?.everyMs).toBe(24 * H);
    expect(refreshOf('soon', 0)).toBeNull();
    expect(refreshOf('', 0)).toBeNull();
    expect(refreshOf('auto', H)).toEqual({ everyMs: 15_000, aligned: true });
    expect(refreshOf('auto', 60_000)?.everyMs).toBe(5000);
    expect(nextDue(12_345, { everyMs: 5000, aligned: true })).toBe(15_000);
    expect(nextDue(15_000, { everyMs: 5000, aligned: true })).toBe(20_000);
    expect(nextDue(12_345, { everyMs: 5000, aligned: false })).toBe(17_345);
  });
});

describe('range in words', () => {
  const context = { nowMs: Date.UTC(2026, 10, 24, 12), zone: 'utc', weekStart: 1 };
  it('uses the known name, the expression, or two times', () => {
    expect(rangeLabel({ from: 'now-1h', to: 'now' }, range, 'utc', t)).toBe('range.1h');
    expect(rangeLabel({ from: 'now-7m', to: 'now' }, range, 'utc', t)).toBe('now-7m → now');
    expect(rangeLabel({ from: '1', to: '2' }, range, 'utc', t)).toBe('2026-11-24 10:00:00 → 12:00:00');
    const long = { ...range, toMs: range.toMs + 48 * H };
    expect(rangeLabel({ from: '1', to: '2' }, long, 'utc', t)).toContain('→ 2026-11-26');
  });
  it('resolves every quick range', () => {
    const wrong = QUICK_RANGES.filter((q) => resolveRange(q, context) === null).map((q) => q.key);
    expect(wrong).toEqual([]);
    expect(new Set(QUICK_RANGES.map((q) => `${q.from}|${q.to}`)).size).toBe(QUICK_RANGES.length);
  });
});
