// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { ChartModel, SeriesModel } from './model';
import { DENSE_POINTS, type Painting, paint } from './painter';
import { plain, stacked } from './stack';

/** Notes what would be drawn. */
function recorder() {
  const strokes: { style: string; width: number; dash: number[]; alpha: number; points: [number, number][] }[] = [];
  const fills: [number, number][][] = [];
  let path: [number, number][] = [];
  let dash: number[] = [];
  const g = {
    strokeStyle: '',
    fillStyle: '',
    lineWidth: 0,
    globalAlpha: 1,
    lineJoin: '',
    lineCap: '',
    save: () => undefined,
    restore: () => undefined,
    rect: () => undefined,
    clip: () => undefined,
    closePath: () => undefined,
    setLineDash: (d: number[]) => {
      dash = d;
    },
    beginPath: () => {
      path = [];
    },
    moveTo: (x: number, y: number) => path.push([x, y]),
    lineTo: (x: number, y: number) => path.push([x, y]),
    stroke: () => strokes.push({ style: g.strokeStyle, width: g.lineWidth, dash, alpha: g.globalAlpha, points: path }),
    fill: () => fills.push(path),
  };
  return { g: g as unknown as CanvasRenderingContext2D, strokes, fills };
}

const series = (id: string, values: number[], extra: Partial<SeriesModel> = {}): SeriesModel => ({
  id,
  name: id,
  labels: {},
  values: Float64Array.from(values),
  pyramid: [],
  slot: 0,
  ...extra,
});
const frame = { left: 0, top: 0, width: 100, height: 100, ratio: 1, xMin: 0, xMax: 2000, yMin: 0, yMax: 10 };
const x = Float64Array.of(0, 1000, 2000);

function drawing(list: SeriesModel[], change: Partial<Painting> = {}) {
  const model: ChartModel = { x, series: list };
  const out = recorder();
  const drawn = change.mode === 'stack' ? stacked(list, new Set()) : plain(list);
  const read = paint(out.g, {
    frame,
    model,
    drawn,
    hidden: new Set(),
    mode: 'line',
    focus: null,
    connect: 'never',
    ...change,
  });
  return { ...out, read };
}

describe('painting', () => {
  it('puts values at their places, and a lone one as a dot', () => {
    const { strokes, read } = drawing([series('a', [0, 6, 10]), series('b', [Number.NaN, 5, Number.NaN])]);
    expect(strokes[0]?.points).toEqual([
      [0, 100],
      [50, 40],
      [100, 0],
    ]);
    expect(strokes[1]?.points).toEqual([
      [48, 50],
      [52, 50],
    ]);
    expect(read).toBe(6);
  });

  it('draws what is straight to the eye as one line, and every bend', () => {
    const n = 400;
    const values = Array.from({ length: n }, (_, k) =>
      k < 200 ? 5 + 0.00001 * (k % 3) : k < 300 ? 5 : 5 + (k - 299) / 100,
    );
    values[250] = 6;
    values[320] = Number.NaN;
    const model = { x: Float64Array.from(values, (_, k) => k), series: [series('a', values)] };
    const out = recorder();
    const rest = { hidden: new Set<string>(), mode: 'line', focus: null, connect: 'never' } as const;
    paint(out.g, { frame: { ...frame, width: n - 1, xMax: n - 1 }, model, drawn: plain(model.series), ...rest });
    const points = out.strokes[0]?.points ?? [];
    const bends = [0, 249, 250, 251, 299, 319, 321, 399];
    expect(points).toHaveLength(bends.length);
    bends.forEach((k, n) => {
      expect(Math.abs((points[n]?.[0] ?? 0) - k)).toBeLessThan(3);
    });
    // Whatever was left out lies on what is drawn.
    for (const [k, value] of values.entries()) {
      if (Number.isNaN(value)) continue;
      const at = points.findIndex(([px]) => px >= k - 1e-9);
      const [[ax, ay], [bx, by]] = [points[Math.max(0, at - 1)] ?? [0, 0], points[at] ?? [0, 0]];
      const drawn = bx === ax ? by : ay + ((by - ay) * (k - ax)) / (bx - ax);
      expect(Math.abs(drawn - (100 - value * 10))).toBeLessThan(0.41);
    }
  });

  it('leaves out hidden series, fades behind the focused one and draws that last', () => {
    const list = [series('a', [1, 1, 1]), series('b', [2, 2, 2], { slot: 1 }), series('c', [3, 3, 3], { slot: 13 })];
    const { strokes } = drawing(list, { hidden: new Set(['b']), focus: 0 });
    expect(strokes.map((s) => [s.points[0]?.[1], s.alpha < 1])).toEqual([
      [70, true],
      [90, false],
    ]);
    expect(strokes[0]?.dash.length).toBeGreaterThan(0);
  });

  it('fills bands between sums, areas to zero', () => {
    const stack = drawing([series('a', [1, 2, 1]), series('b', [2, 2, 2])], { mode: 'stack' });
    // The upper band is painted first: from 3 and 4 down to 1 and 2.
    expect(stack.fills[0]).toEqual([
      [0, 70],
      [50, 60],
      [100, 70],
      [100, 90],
      [50, 80],
      [0, 90],
    ]);
    const area = drawing([series('a', [1, 2, Number.NaN])], { mode: 'area' });
    expect(area.fills[0]).toEqual([
      [0, 90],
      [50, 80],
      [50, 100],
      [0, 100],
    ]);
  });

  it('lays older periods over everything, dashed', () => {
    const list = [series('old', [1, 2, 3], { ghost: true }), series('a', [1, 1, 1])];
    const { strokes } = drawing(list, { mode: 'area' });
    expect(strokes.map((s) => s.dash.length > 0)).toEqual([false, false, true]);
    expect(strokes[1]?.width).toBeGreaterThan(strokes[2]?.width ?? 0);
    expect(drawing(list).strokes.at(-1)).toMatchObject({ dash: [3, 3] });
  });

  it('keeps far values within what a canvas can draw, and thins lines of dense charts', () => {
    const { strokes } = drawing([series('a', [0, 1e300, 0])]);
    expect(strokes[0]?.points[1]?.[1]).toBe(-400);
    expect(strokes[0]?.width).toBe(1.5);
    const n = DENSE_POINTS + 10;
    const long = series(
      'a',
      Array.from({ length: n }, (_, k) => k % 2),
    );
    const wide = { ...frame, width: 4000, xMax: n };
    const model = { x: Float64Array.from({ length: n }, (_, k) => k), series: [long] };
    const out = recorder();
    const rest = { hidden: new Set<string>(), mode: 'line', focus: null, connect: 'never' } as const;
    paint(out.g, { frame: wide, model, drawn: plain([long]), ...rest });
    expect(out.strokes[0]?.width).toBe(1);
    // More values than a buffer begins with.
    expect(out.strokes[0]?.points.length).toBe(n);
    const none = { model: { x: new Float64Array(0), series: [] }, drawn: [] };
    expect(paint(out.g, { frame, ...none, ...rest })).toBe(0);
  });
});
