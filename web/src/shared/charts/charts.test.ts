// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { pinched } from './gestures';
import { nextHidden } from './Legend';
import { fromMatrix, mergeModels, peakOf, seriesId, statsOf } from './model';
import { stacked, yRange } from './options';
import { timeTicks } from './ticks';

const naming = { key: 'q', name: (l: Record<string, string>) => l.x ?? '' };

describe('models', () => {
  const matrix = [
    {
      metric: { x: 'b' },
      values: [
        [10, '1'],
        [12, '3'],
      ] as [number, string][],
    },
    {
      metric: { x: 'a' },
      values: [
        [11, 'NaN'],
        [12, '+Inf'],
        [13, '-2.5'],
      ] as [number, string][],
    },
  ];
  it('puts samples on the grid and leaves gaps', () => {
    const model = fromMatrix(matrix, 10_000, 13_000, 1000, naming);
    expect(model.x).toEqual([10_000, 11_000, 12_000, 13_000]);
    expect(model.series.map((s) => [s.name, s.values])).toEqual([
      ['a', [null, null, null, -2.5]],
      ['b', [1, null, 3, null]],
    ]);
  });
  it('merges, ranks, and keeps grey ones out of the palette', () => {
    const rest = fromMatrix(matrix.slice(0, 1), 10_000, 13_000, 1000, { ...naming, key: 'r', rest: true });
    const merged = mergeModels([
      rest,
      fromMatrix(matrix, 10_000, 13_000, 1000, { ...naming, rank: (l) => (l.x === 'b' ? 0 : 1) }),
    ]);
    expect(merged.series.map((s) => [s.name, s.slot])).toEqual([
      ['b', -1],
      ['b', 0],
      ['a', 1],
    ]);
    expect(mergeModels([]).series).toEqual([]);
  });
  it('names series stably and apart', () => {
    expect(seriesId('q', { a: '1', b: '2' })).toBe(seriesId('q', { b: '2', a: '1' }));
    expect(seriesId('q', { a: '1' })).not.toBe(seriesId('p', { a: '1' }));
  });
  it('finds figures and the peak', () => {
    expect(statsOf([null, 2, 4, null])).toEqual({ last: 4, min: 2, max: 4, mean: 3 });
    expect(statsOf([null])).toEqual({ last: null, min: null, max: null, mean: null });
    const model = fromMatrix(matrix, 10_000, 13_000, 1000, naming);
    expect(peakOf(model, new Set())).toMatchObject({ name: 'b', value: 3, atMs: 12_000 });
    expect(peakOf(model, new Set(model.series.map((s) => s.id)))).toBeNull();
  });
});

describe('stacking and scales', () => {
  const s = (id: string, values: (number | null)[]) => ({ id, name: id, labels: {}, values, slot: 0 });
  it('sums what is shown', () => {
    const list = [s('a', [1, 1]), s('b', [10, null]), s('c', [100, 100])];
    expect(stacked(list, new Set()).columns).toEqual([
      [1, 1],
      [11, null],
      [111, 101],
    ]);
    expect(stacked(list, new Set()).bands).toEqual([{ series: [2, 1] }, { series: [3, 2] }]);
    const without = stacked(list, new Set(['b']));
    expect(without.columns[2]).toEqual([101, 101]);
    expect(without.bands).toEqual([{ series: [3, 1] }]);
  });
  it('keeps zero near, gives room, and never collapses', () => {
    expect(yRange(1, 10, { mode: 'line' })[0]).toBe(0);
    expect(yRange(5, 5, { mode: 'line' })).toEqual([4.5, 5.5]);
    expect(yRange(0, 0, { mode: 'line' })).toEqual([0, 1]);
    expect(yRange(0.1, 0.5, { mode: 'stack', min: 0, max: 1 })).toEqual([0, 1]);
    expect(yRange(null, null, { mode: 'line' })[1]).toBeGreaterThan(0);
  });
});

describe('legend clicks', () => {
  const all = ['a', 'b', 'c'];
  it('isolates, shows all again, toggles', () => {
    expect([...nextHidden(all, new Set(), 'a', false)]).toEqual(['b', 'c']);
    expect([...nextHidden(all, new Set(['b', 'c']), 'a', false)]).toEqual([]);
    expect([...nextHidden(all, new Set(['b', 'c']), 'b', false)]).toEqual(['a', 'c']);
    expect([...nextHidden(all, new Set(), 'b', true)]).toEqual(['b']);
    expect([...nextHidden(all, new Set(['a', 'b']), 'c', true)]).toEqual([]);
  });
});

describe('time ticks', () => {
  it('are round in the zone, also across a DST jump', () => {
    const from = Date.UTC(2026, 2, 28, 12);
    const { at, stepMs } = timeTicks(from, from + 36 * 3_600_000, 8, 'Europe/Madrid');
    expect(stepMs).toBe(6 * 3_600_000);
    const hours = at.map((ms) =>
      new Intl.DateTimeFormat('en', { timeZone: 'Europe/Madrid', hour: 'numeric', hourCycle: 'h23' }).format(ms),
    );
    expect(hours.map(Number).every((h) => h % 6 === 0)).toBe(true);
  });
  it('fall on days and months for long spans', () => {
    const week = timeTicks(Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 15), 8, 'utc');
    expect(week.at.every((ms) => ms % 86_400_000 === 0)).toBe(true);
    const years = timeTicks(Date.UTC(2020, 0, 1), Date.UTC(2026, 0, 1), 8, 'utc');
    expect(years.at.map((ms) => new Date(ms).getUTCMonth())).toEqual(years.at.map(() => 0));
    expect(years.at.length).toBeLessThanOrEqual(9);
  });
});

describe('pinch', () => {
  it('keeps what is under the fingers', () => {
    expect(pinched(0, 100_000, 100, [40, 60], [20, 80])).toEqual({ fromMs: 33_333, toMs: 66_666 });
    expect(pinched(0, 100_000, 100, [20, 80], [40, 60])).toEqual({ fromMs: -100_000, toMs: 200_000 });
    expect(pinched(0, 100_000, 100, [20, 80], [30, 90])).toEqual({ fromMs: -10_000, toMs: 90_000 });
  });
  it('refuses fingers on one spot and ranges too short', () => {
    expect(pinched(0, 100, 100, [50, 52], [10, 90])).toBeNull();
    expect(pinched(0, 2000, 100, [40, 60], [0, 100])).toBeNull();
  });
});
