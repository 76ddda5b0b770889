// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LineCache } from './lineCache';
import type { ChartModel, SeriesModel } from './model';
import type { ChartMode } from './options';
import { type Frame, paint } from './painter';
import { plain } from './stack';

type Point = [number, number];

/** A path that remembers its points. */
class FakePath {
  static made = 0;
  points: Point[] = [];
  constructor() {
    FakePath.made += 1;
  }
  moveTo(x: number, y: number): void {
    this.points.push([x, y]);
  }
  lineTo(x: number, y: number): void {
    this.points.push([x, y]);
  }
  closePath(): void {}
  addPath(other: FakePath, m: DOMMatrix2DInit): void {
    const { a = 1, d = 1, e = 0, f = 0 } = m;
    for (const [x, y] of other.points) this.points.push([a * x + e, d * y + f]);
  }
}

function canvas() {
  const strokes: Point[][] = [];
  const fills: Point[][] = [];
  let path: Point[] = [];
  let [right, down] = [0, 0];
  const placed = (points: Point[]) => points.map(([px, py]): Point => [px + right, py + down]);
  const nothing = () => undefined;
  const g = {
    save: nothing,
    restore: nothing,
    rect: nothing,
    clip: nothing,
    closePath: nothing,
    setLineDash: nothing,
    beginPath: () => {
      path = [];
    },
    moveTo: (x: number, y: number) => path.push([x, y]),
    lineTo: (x: number, y: number) => path.push([x, y]),
    translate: (dx: number, dy: number) => {
      right += dx;
      down += dy;
    },
    stroke: (kept?: FakePath) => strokes.push(placed(kept?.points ?? path)),
    fill: (kept?: FakePath) => fills.push(placed(kept?.points ?? path)),
  };
  return { g: g as unknown as CanvasRenderingContext2D, strokes, fills };
}

const N = 400;
const x = Float64Array.from({ length: N }, (_, k) => k * 1000);
// No two stretches are straight: every value is a point of the line.
const values = Float64Array.from({ length: N }, (_, k) => 50 + 40 * Math.sin(k / 9) + (k % 2) * 4);
const series: SeriesModel = { id: 'a', name: 'a', labels: {}, values, pyramid: [], slot: 0 };
const model: ChartModel = { x, series: [series] };
const frame: Frame = {
  left: 40,
  top: 8,
  width: 300,
  height: 120,
  ratio: 1,
  xMin: 100_000,
  xMax: 200_000,
  yMin: 0,
  yMax: 100,
};

function draw(cache: LineCache | undefined, change: Partial<Frame>, mode: ChartMode = 'line', of = model) {
  const out = canvas();
  const rest = { model: of, drawn: plain(of.series), hidden: new Set<string>(), mode, focus: null };
  const read = paint(out.g, { ...rest, frame: { ...frame, ...change }, connect: 'never', ...(cache ? { cache } : {}) });
  return { ...out, read };
}

/** The kept line holds the one drawn directly, point for point, and goes on beyond the plot. */
function expectSame(kept: Point[] | undefined, direct: Point[] | undefined): void {
  expect(direct?.length).toBeGreaterThan(50);
  for (const [px, py] of direct ?? []) {
    const there = kept?.find(([kx]) => Math.abs(kx - px) < 1e-6);
    expect(there, `a point at ${px}`).toBeDefined();
    expect(there?.[1]).toBeCloseTo(py, 6);
  }
}

describe('lines that are kept', () => {
  beforeEach(() => {
    FakePath.made = 0;
    vi.stubGlobal('Path2D', FakePath);
  });
  afterEach(() => vi.unstubAllGlobals());

  it('are where lines traced anew would be, while the window moves and the height changes', () => {
    const cache = new LineCache();
    expect(draw(cache, {}).read).toBeGreaterThan(0);
    expect(FakePath.made).toBe(0);
    for (const [k, by] of [5000, 9000, 12_000, -20_000].entries()) {
      const height = k < 2 ? {} : { yMin: -k, yMax: 100 + 3 * k };
      const change = { xMin: frame.xMin + by, xMax: frame.xMax + by, ...height };
      const kept = draw(cache, change);
      expectSame(kept.strokes[0], draw(undefined, change).strokes[0]);
      // Traced once, then moved.
      if (k > 0) expect(kept.read).toBe(0);
    }
  });

  it('hold the band below as well', () => {
    const cache = new LineCache();
    draw(cache, {}, 'area');
    draw(cache, { xMin: 101_000, xMax: 201_000 }, 'area');
    const change = { xMin: 104_000, xMax: 204_000 };
    const kept = draw(cache, change, 'area');
    expect(kept.read).toBe(0);
    expectSame(
      kept.fills[0],
      draw(undefined, change, 'area').fills[0]?.filter(([px]) => px > 50 && px < 330),
    );
  });

  it('are traced anew for other data, another scale, far away and much lower', () => {
    const settled = () => {
      const cache = new LineCache();
      draw(cache, {});
      draw(cache, { xMin: 101_000, xMax: 201_000 });
      expect(draw(cache, { xMin: 102_000, xMax: 202_000 }).read).toBe(0);
      return cache;
    };
    const moved = { xMin: 103_000, xMax: 203_000 };
    expect(draw(settled(), moved, 'line', { x, series: [series] }).read).toBeGreaterThan(0);
    expect(draw(settled(), { xMin: 103_000, xMax: 213_000 }).read).toBeGreaterThan(0);
    expect(draw(settled(), { xMin: 163_000, xMax: 263_000 }).read).toBeGreaterThan(0);
    expect(draw(settled(), { ...moved, yMax: 300 }).read).toBeGreaterThan(0);
    expect(draw(settled(), { ...moved, width: 310, xMax: 203_333.333333 }).read).toBeGreaterThan(0);
    // A height that stays is traced for, one that changes on is not.
    const low = settled();
    expect(draw(low, { ...moved, yMax: 130 }).read).toBe(0);
    expect(draw(low, { ...moved, yMax: 140 }).read).toBe(0);
    expect(draw(low, { ...moved, yMax: 140 }).read).toBeGreaterThan(0);
    expect(draw(low, { ...moved, yMax: 140 }).read).toBe(0);
    const cleared = settled();
    cleared.clear();
    expect(draw(cleared, moved).read).toBeGreaterThan(0);
  });

  it('are not made for data that is drawn once, as live data is', () => {
    const cache = new LineCache();
    for (let k = 0; k < 5; k++) draw(cache, {}, 'line', { x, series: [series] });
    expect(FakePath.made).toBe(0);
  });
});
