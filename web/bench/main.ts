// SPDX-License-Identifier: Apache-2.0
// The chart figures of the specification, measured in this very page. run.mjs calls `window.bench.<name>()`.
import { nextFrame, startLog, takeLog } from './frames';
import 'uplot/dist/uPlot.min.css';
import type { ChartModel, ChartSource, SeriesModel } from '@/shared/charts/model';
import type { LookOptions } from '@/shared/charts/options';
import { ChartView } from '@/shared/charts/view';
import { charts, names } from '@/shared/frames/client';
import { buildPyramid } from '@/shared/frames/pyramid';
import { MovingWindow } from '@/shared/frames/ring';

const root = document.getElementById('panels') as HTMLElement;
const LOOK: LookOptions = { unit: 'short', mode: 'line', zone: 'utc', syncKey: 'bench' };
const T0 = 1_795_500_000_000;

function wave(n: number, seed: number): Float64Array {
  let state = seed * 7919 + 1;
  let level = 50;
  const values = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    level += (state / 2 ** 32 - 0.5) * 4;
    values[k] = level + 10 * Math.sin(k / 50 + seed);
  }
  return values;
}

function model(series: number, points: number, stepMs: number, seed = 0): ChartModel {
  const x = new Float64Array(points);
  for (let k = 0; k < points; k++) x[k] = T0 + k * stepMs;
  const list = Array.from({ length: series }, (_, i): SeriesModel => {
    const values = wave(points, seed + i);
    const pyramid = points >= 4096 ? buildPyramid(values) : [];
    return { id: `s${i}`, name: `series ${i}`, labels: { i: String(i) }, values, pyramid, slot: i };
  });
  return { x, series: list };
}

class Source implements ChartSource {
  span: { min: number; max: number };
  private readonly listeners = new Set<() => void>();
  constructor(public now: ChartModel) {
    this.span = { min: now.x[0] ?? 0, max: now.x.at(-1) ?? 1 };
  }
  model = () => this.now;
  window = () => this.span;
  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  changed(): void {
    for (const listener of this.listeners) listener();
  }
}

let views: ChartView[] = [];

function clear(one: boolean): void {
  for (const view of views) view.destroy();
  views = [];
  root.replaceChildren();
  root.className = one ? 'one' : '';
}

function panel(source: ChartSource): ChartView {
  const host = document.createElement('div');
  root.append(host);
  const view = new ChartView(host);
  view.update(source, LOOK, new Set());
  views.push(view);
  return view;
}

async function drawnFirst(view: ChartView): Promise<void> {
  while (view.entriesRead === 0) await nextFrame();
}

const median = (list: number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;

const bench = {
  /** One panel of a million points: first drawing, and zooming in and out. */
  async million() {
    const source = new Source(model(1, 1_000_000, 1000));
    const firsts: number[] = [];
    for (let round = 0; round < 5; round++) {
      clear(true);
      await nextFrame();
      const started = performance.now();
      const view = panel(source);
      await drawnFirst(view);
      firsts.push(performance.now() - started);
    }
    const [view] = views;
    const [min, max] = [source.span.min, source.span.max];
    startLog();
    let most = 0;
    for (let k = 0; k < 120; k++) {
      const half = ((max - min) / 2) * 0.9 ** (k % 60);
      const centre = min + (max - min) * 0.37;
      view?.preview({ min: Math.max(min, centre - half), max: Math.min(max, centre + half) });
      await nextFrame();
      most = Math.max(most, view?.entriesRead ?? 0);
    }
    const width = root.clientWidth - 16;
    return { firstDrawMs: median(firsts), zoom: takeLog(), entriesPerPixel: most / width };
  },

  /** Fifty panels of twenty series of a thousand points, twelve of them on the screen, panned. */
  async fifty() {
    clear(false);
    for (let p = 0; p < 50; p++) panel(new Source(model(20, 1000, 1000, p * 20)));
    for (const view of views.slice(0, 12)) await drawnFirst(view);
    await nextFrame();
    const { min, max } = (views[0] as unknown as { source: Source }).source.span;
    startLog();
    for (let k = 0; k < 150; k++) {
      const by = Math.sin(k / 20) * (max - min) * 0.2;
      for (const view of views) view.preview({ min: min + by, max: max + by });
      await nextFrame();
    }
    const pan = takeLog();
    const canvases = document.querySelectorAll('canvas').length;
    for (const view of views) view.preview(null);
    for (let k = 0; k < 20; k++) await nextFrame();
    const draws: number[] = [];
    for (let k = 0; k < 60; k++) {
      const view = views[k % 12] as ChartView;
      const started = performance.now();
      view.draw();
      draws.push(performance.now() - started);
      if (k % 4 === 0) await nextFrame();
    }
    const first = (root.firstElementChild as HTMLElement).getBoundingClientRect();
    const moves: number[] = [];
    for (let k = 0; k < 200; k++) {
      const event = new PointerEvent('pointermove', {
        clientX: first.left + 60 + (k % 100) * 3,
        clientY: first.top + 5,
        bubbles: true,
        pointerType: 'mouse',
      });
      const started = performance.now();
      root.firstElementChild?.dispatchEvent(event);
      moves.push(performance.now() - started);
      if (k % 4 === 0) await nextFrame();
    }
    moves.sort((a, b) => a - b);
    return {
      pan,
      drawMs: median(draws),
      canvases,
      crosshairMs: { p50: median(moves), p95: moves[Math.floor(moves.length * 0.95)] ?? 0 },
    };
  },

  /** Twenty panels of twenty live series at ten samples a second. */
  async live(seconds: number) {
    clear(false);
    const feeds = Array.from({ length: 20 }, () => {
      const ring = new MovingWindow(600, 100);
      const columns = Array.from({ length: 20 }, () => ring.column());
      for (let k = 0; k < 600; k++) {
        const slot = ring.slot(T0 + k * 100);
        for (let s = 0; s < 20; s++) (columns[s] as Float64Array)[slot] = Math.sin(k / 30 + s) * 10 + s;
      }
      const read = (): ChartModel => ({
        x: ring.viewTimes(),
        series: columns.map((c, s) => ({
          id: `s${s}`,
          name: `series ${s}`,
          labels: {},
          values: ring.view(c),
          pyramid: [],
          slot: s,
        })),
      });
      const source = new Source(read());
      panel(source);
      return { ring, columns, read, source };
    });
    for (const view of views.slice(0, 12)) await drawnFirst(view);
    const heap = () => (performance as unknown as { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize ?? 0;
    const collect = (window as unknown as { gc?: () => void }).gc ?? (() => undefined);
    collect();
    const heapBefore = heap();
    startLog();
    const delays: number[] = [];
    // When the samples arrived that a panel has not drawn yet; drawn, they are seen with the frame.
    const inSight = views.filter(
      (_, k) => (root.children[k]?.getBoundingClientRect().top ?? innerHeight) < innerHeight,
    );
    const waiting = new Map(inSight.map((view): [ChartView, number[]] => [view, []]));
    for (const [view, arrivals] of waiting) {
      const draw = view.draw.bind(view);
      view.draw = () => {
        draw();
        const drawn = arrivals.splice(0);
        requestAnimationFrame((now) => delays.push(...drawn.map((arrived) => now - arrived)));
      };
    }
    let tick = 600;
    const started = performance.now();
    while (performance.now() - started < seconds * 1000) {
      const arrived = performance.now();
      for (const feed of feeds) {
        const slot = feed.ring.slot(T0 + tick * 100);
        for (let s = 0; s < 20; s++) (feed.columns[s] as Float64Array)[slot] = Math.sin(tick / 30 + s) * 10 + s;
        feed.source.now = feed.read();
        const max = T0 + tick * 100;
        feed.source.span = { min: max - 60_000, max };
        feed.source.changed();
      }
      for (const arrivals of waiting.values()) arrivals.push(arrived);
      tick += 1;
      while (performance.now() - arrived < 100) await nextFrame();
    }
    const log = takeLog();
    collect();
    delays.sort((a, b) => a - b);
    return {
      ...log,
      heapGrowth: heap() / heapBefore - 1,
      sampleToPixelP95Ms: delays[Math.floor(delays.length * 0.95)],
    };
  },

  /** Half a million metric names: until the first rows are there, until all are, and a search among them. */
  async names() {
    const opened: number[] = [];
    const whole: number[] = [];
    const searched: number[] = [];
    let longest = 0;
    for (let round = 0; round < 5; round++) {
      let last = performance.now();
      let watching = true;
      const watch = () => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        if (watching) setTimeout(watch, 0);
      };
      watch();
      const started = performance.now();
      const first = (await (await fetch('first.json')).json()) as { data: string[] };
      opened.push(performance.now() - started);
      await names.run({ kind: 'names', from: { url: new URL('names.json', location.href).href, headers: {} } });
      await names.run({ kind: 'find', text: '', types: [] });
      const rows = await names.run({ kind: 'slice', from: 0, to: 64 });
      whole.push(performance.now() - started);
      if (first.data.length !== 40) throw new Error('no first rows');
      const before = performance.now();
      await names.run({ kind: 'find', text: 'requests 4999', types: [] });
      searched.push(performance.now() - before);
      watching = false;
      if (rows.length !== 64) throw new Error('no rows');
    }
    return {
      openMs: median(opened),
      wholeMs: median(whole),
      searchMs: median(searched),
      longestPauseOfThePageMs: longest,
    };
  },

  /** A range answer of 100 series of 1000 steps: decoded in the worker. */
  async decode() {
    const values = Array.from({ length: 1000 }, (_, k) => [T0 / 1000 + k, String(Math.sin(k) * 1e3)]);
    const result = Array.from({ length: 100 }, (_, i) => ({ metric: { i: String(i) }, values }));
    const text = JSON.stringify({ status: 'success', data: { resultType: 'matrix', result } });
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const bytes = new TextEncoder().encode(text).buffer as ArrayBuffer;
      const started = performance.now();
      await charts.run({ kind: 'matrix', bytes, grid: { startMs: T0, endMs: T0 + 999_000, stepMs: 1000 } });
      times.push(performance.now() - started);
    }
    return { megabytes: text.length / 1e6, ms: median(times) };
  },
};

(window as unknown as { bench: typeof bench }).bench = bench;
document.body.dataset.ready = '';
