// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { decodeMatrix } from '../frames/matrix';
import { PYRAMID_FROM } from '../frames/pyramid';
import { pinched, wheeled } from './gestures';
import { moved } from './keyboard';
import { legendOrder, nextHidden, nextSort, statsFor } from './legendModel';
import {
  type ChartModel,
  fromFrame,
  mergeModels,
  NO_MODEL,
  nearest,
  peakOf,
  type SeriesModel,
  seriesId,
  staticSource,
  statsOf,
  valueAt,
  withComparison,
} from './model';
import { chartOptions, shrinkFor, yRange } from './options';
import { places, stepsIn } from './painter';
import { plain, spanOf, stacked } from './stack';
import { join, tell } from './sync';
import { timeTicks } from './ticks';
import { tooltipRows } from './tooltipRows';

const naming = { key: 'q', name: (l: Record<string, string>) => l.x ?? '' };
const NO = Number.NaN;

function series(id: string, values: number[], extra: Partial<SeriesModel> = {}): SeriesModel {
  return { id, name: id, labels: {}, values: Float64Array.from(values), pyramid: [], slot: 0, ...extra };
}

describe('models', () => {
  const grid = { startMs: 10_000, endMs: 13_000, stepMs: 1000 };
  const rows = [
    {
      metric: { x: 'b' },
      values: [
        [10, '1'],
        [12, '3'],
      ],
    },
    {
      metric: { x: 'a' },
      values: [
        [11, 'NaN'],
        [12, '+Inf'],
        [13, '-2.5'],
      ],
    },
  ];
  const frameOf = (result: unknown[]) =>
    decodeMatrix(
      new TextEncoder().encode(JSON.stringify({ status: 'success', data: { resultType: 'matrix', result } })),
      grid,
    );
  it('put samples on the grid and leave gaps', () => {
    const model = fromFrame(frameOf(rows), naming);
    expect([...model.x]).toEqual([10_000, 11_000, 12_000, 13_000]);
    expect(model.series.map((s) => [s.name, [...s.values]])).toEqual([
      ['a', [NO, NO, NO, -2.5]],
      ['b', [1, NO, 3, NO]],
    ]);
    const [a] = model.series;
    expect(a && [valueAt(a, 0), valueAt(a, 3), valueAt(a, 9)]).toEqual([null, -2.5, null]);
  });
  it('merge, rank, and keep grey ones out of the palette', () => {
    const rest = fromFrame(frameOf(rows.slice(0, 1)), { ...naming, key: 'r', rest: true });
    const ranked = fromFrame(frameOf(rows), { ...naming, rank: (l) => (l.x === 'b' ? 0 : 1) });
    const merged = mergeModels([rest, ranked]);
    expect(merged.series.map((s) => [s.name, s.slot])).toEqual([
      ['b', -1],
      ['b', 0],
      ['a', 1],
    ]);
    expect(mergeModels([]).series).toEqual([]);
    const source = staticSource(merged, 1, 2);
    expect([source.model(), source.window(), source.subscribe(() => undefined)()]).toEqual([
      merged,
      { min: 1, max: 2 },
      undefined,
    ]);
  });
  it('lay an older period over this one, in the colours of the same series', () => {
    const now = mergeModels([fromFrame(frameOf(rows), naming)]);
    const gone = { metric: { x: 'c' }, values: [[11, '7']] };
    const model = fromFrame(frameOf([rows[0], gone]), naming);
    const both = withComparison(now, [{ key: 'q', model }], 86_400_000, (n) => `${n} before`);
    expect(both.series.map((s) => [s.name, s.slot, s.ghost ?? false])).toEqual([
      ['a', 0, false],
      ['b', 1, false],
      ['b before', 1, true],
      ['c before', 2, true],
    ]);
    expect(new Set(both.series.map((s) => s.id)).size).toBe(4);
    expect(both.x).toBe(now.x);
    const alone = withComparison(NO_MODEL, [{ key: 'q', model }], 5000, (n) => n);
    expect(alone.x[0]).toBe(15_000);
    expect(withComparison(NO_MODEL, [], 5000, (n) => n).series).toEqual([]);
  });
  it('name series stably and apart', () => {
    expect(seriesId('q', { a: '1', b: '2' })).toBe(seriesId('q', { b: '2', a: '1' }));
    expect(seriesId('q', { a: '1' })).not.toBe(seriesId('p', { a: '1' }));
  });
  it('find figures, the peak and the nearest time', () => {
    expect(statsOf(Float64Array.of(NO, 2, 4, NO))).toEqual({ last: 4, min: 2, max: 4, mean: 3 });
    expect(statsOf(Float64Array.of(NO))).toEqual({ last: null, min: null, max: null, mean: null });
    const model = fromFrame(frameOf(rows), naming);
    expect(peakOf(model, new Set())).toMatchObject({ name: 'b', value: 3, atMs: 12_000 });
    expect(peakOf(model, new Set(model.series.map((s) => s.id)))).toBeNull();
    expect([0, 10_499, 10_501, 12_500, 99_999].map((ms) => nearest(model.x, ms))).toEqual([0, 0, 1, 2, 3]);
    expect(nearest(NO_MODEL.x, 5)).toBe(-1);
  });
});

describe('stacking and scales', () => {
  const list = [series('a', [1, 1]), series('b', [10, NO]), series('c', [100, 100])];
  const tops = (drawn: ReturnType<typeof stacked>) => drawn.map((d) => [...d.values]);
  it('sums what is shown', () => {
    const drawn = stacked(list, new Set());
    expect(tops(drawn)).toEqual([
      [1, 1],
      [11, NO],
      [111, 101],
    ]);
    expect(drawn.map((d) => [...(d.base?.values ?? [])])).toEqual([
      [0, 0],
      [1, NO],
      [11, 1],
    ]);
    expect(tops(stacked(list, new Set(['b'])))[2]).toEqual([101, 101]);
  });
  it('sums to one in percent, older series among themselves', () => {
    const [half, all] = stacked([series('a', [1, 0]), series('b', [3, 0])], new Set(), true);
    expect([half?.values[0], all?.values[0], all?.values[1]]).toEqual([0.25, 1, 0]);
    const ghost = stacked([...list, series('p', [5, 5], { ghost: true })], new Set()).at(-1);
    expect([ghost?.values[0], ghost?.base]).toEqual([5, null]);
    const long = series(
      'l',
      Array.from({ length: PYRAMID_FROM }, (_, i) => i),
    );
    expect(stacked([long], new Set())[0]?.pyramid.length).toBeGreaterThan(0);
  });
  it('finds the span of what is drawn', () => {
    expect(spanOf(plain(list), (i) => i !== 2, 0, 1)).toEqual([1, 10]);
    expect(spanOf(stacked(list, new Set()), () => true, 0, 0)).toEqual([0, 111]);
    expect(spanOf(plain(list), () => false, 0, 1)).toBeNull();
  });
  it('keeps zero near, gives room, and never collapses', () => {
    expect(yRange(1, 10, { mode: 'line' })[0]).toBe(0);
    expect(yRange(5, 5, { mode: 'line' })).toEqual([4.5, 5.5]);
    expect(yRange(0, 0, { mode: 'line' })).toEqual([0, 1]);
    expect(yRange(0, 0, { mode: 'line', unit: 'bytes' })).toEqual([0, 1024]);
    expect(yRange(0.1, 0.5, { mode: 'stack', min: 0, max: 1 })).toEqual([0, 1]);
    expect(yRange(null, null, { mode: 'line' })[1]).toBeGreaterThan(0);
    expect(yRange(-5, 100, { mode: 'line' })[0]).toBeLessThan(-5);
  });
  it('holds at most two canvas pixels per pixel', () => {
    expect([1, 2, 3, 4].map((ratio) => ratio * shrinkFor(ratio))).toEqual([1, 2, 2, 2]);
    const options = chartOptions({ unit: 'bytes', mode: 'line', zone: 'utc' }, 300, 200, 0.5, {});
    expect(options.axes?.[1]).toMatchObject({ gap: 3, space: 14, font: expect.stringMatching(/^6px /) });
    expect(options.axes?.[1]?.incrs).toContain(1024);
  });
});

describe('places on the canvas', () => {
  const frame = { left: 10, top: 0, width: 100, height: 50, ratio: 1, xMin: 0, xMax: 1000, yMin: 0, yMax: 10 };
  it('are linear for even steps and looked up for others', () => {
    const even = places(frame, Float64Array.of(0, 500, 1000));
    expect([even.x(0), even.x(1), even.x(1.5), even.y(10), even.y(0)]).toEqual([10, 60, 85, 0, 50]);
    const odd = places(frame, Float64Array.of(0, 100, 1000));
    expect([odd.x(0), odd.x(1), odd.x(1.5), odd.x(2)]).toEqual([10, 20, 65, 110]);
  });
  it('reach one step beyond each edge', () => {
    const x = Float64Array.of(0, 10, 20, 30, 40);
    expect(stepsIn(x, 12, 28)).toEqual([1, 3]);
    expect(stepsIn(x, -100, 100)).toEqual([0, 4]);
    expect(stepsIn(x, 10, 30)).toEqual([0, 3]);
  });
});

describe('tooltip rows', () => {
  const model: ChartModel = {
    x: Float64Array.of(0),
    series: [series('b', [2]), series('a10', [3]), series('a9', [1]), series('gap', [NO])],
  };
  const names = (mode: 'all' | 'single' | 'none', sort: 'desc' | 'asc' | 'name', focused: number | null = null) =>
    tooltipRows(model, new Set(), 0, focused, { mode, sort }).map((r) => r.series.name);
  it('follow the mode and the order', () => {
    expect(names('all', 'desc')).toEqual(['a10', 'b', 'a9']);
    expect(names('all', 'asc')).toEqual(['a9', 'b', 'a10']);
    expect(names('all', 'name')).toEqual(['a9', 'a10', 'b']);
    expect(names('single', 'desc', 0)).toEqual(['b']);
    expect(names('single', 'desc')).toEqual([]);
    expect(names('none', 'desc', 0)).toEqual([]);
    expect(tooltipRows(model, new Set(['b']), 0, null, { mode: 'all', sort: 'asc' })).toHaveLength(2);
  });
});

describe('crosshair of the keyboard', () => {
  const at = { index: 5, series: 1 };
  const shown = [true, true, false, true];
  it('walks steps and shown series', () => {
    expect(moved('ArrowLeft', { index: -1, series: 0 }, 10, shown)).toEqual({ index: 9, series: 0 });
    expect(moved('ArrowRight', { index: -1, series: 0 }, 10, shown)).toEqual({ index: 9, series: 0 });
    expect(moved('ArrowLeft', at, 10, shown)?.index).toBe(4);
    expect(moved('ArrowRight', { index: 9, series: 1 }, 10, shown)?.index).toBe(9);
    expect(moved('Home', at, 10, shown)?.index).toBe(0);
    expect(moved('End', at, 10, shown)?.index).toBe(9);
    expect(moved('PageUp', at, 40, shown)?.index).toBe(1);
    expect(moved('PageDown', at, 40, shown)?.index).toBe(9);
    expect(moved('ArrowDown', at, 10, shown)?.series).toBe(3);
    expect(moved('ArrowDown', { index: 5, series: 3 }, 10, shown)?.series).toBe(0);
    expect(moved('ArrowUp', { index: 5, series: 3 }, 10, shown)?.series).toBe(1);
    expect(moved('ArrowLeft', { index: 5, series: 2 }, 10, shown)?.series).toBe(3);
    expect([moved('x', at, 10, shown), moved('Home', at, 0, shown), moved('Home', at, 9, [false])]).toEqual([
      null,
      null,
      null,
    ]);
  });
});

describe('charts that share a crosshair', () => {
  it('tell the others, not themselves, until they leave', () => {
    const heard: string[] = [];
    const member = (name: string) => ({
      follow: (ms: number | null) => heard.push(`${name} ${ms}`),
      mark: () => undefined,
    });
    const [a, b] = [member('a'), member('b')];
    const leave = join('k', a);
    join('k', b);
    tell('k', a, (other) => other.follow(5));
    leave();
    tell('k', b, (other) => other.follow(6));
    tell('nobody', b, (other) => other.follow(7));
    expect(heard).toEqual(['b 5']);
  });
});

describe('legend order', () => {
  const model: ChartModel = {
    x: Float64Array.of(0, 1),
    series: [series('b', [1, 2]), series('a', [9, 1]), series('none', [NO, NO])],
  };
  it('sorts by name and figures, what has none last, and back', () => {
    expect(legendOrder(model, null)).toEqual([0, 1, 2]);
    expect(legendOrder(model, { by: 'name', down: false })).toEqual([1, 0, 2]);
    expect(legendOrder(model, { by: 'max', down: true })).toEqual([1, 0, 2]);
    expect(legendOrder(model, { by: 'last', down: false })).toEqual([1, 0, 2]);
    expect(legendOrder(model, { by: 'last', down: true })).toEqual([0, 1, 2]);
    const [b] = model.series;
    const stats = b && statsFor(b);
    expect(b && statsFor(b)).toBe(stats);
    let sort = nextSort(null, 'max');
    expect(sort).toEqual({ by: 'max', down: true });
    sort = nextSort(sort, 'max');
    expect(sort).toEqual({ by: 'max', down: false });
    expect(nextSort(sort, 'max')).toBeNull();
    expect(nextSort(sort, 'name')).toEqual({ by: 'name', down: false });
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
  it('keeps what is under the wheel', () => {
    expect(wheeled(0, 100_000, 50_000, true)).toEqual({ fromMs: 20_000, toMs: 80_000 });
    expect(wheeled(0, 60_000, 0, false)).toEqual({ fromMs: 0, toMs: 100_000 });
    expect(wheeled(0, 1000, 500, true)).toBeNull();
  });
  it('refuses fingers on one spot and ranges too short', () => {
    expect(pinched(0, 100, 100, [50, 52], [10, 90])).toBeNull();
    expect(pinched(0, 2000, 100, [40, 60], [0, 100])).toBeNull();
  });
});
