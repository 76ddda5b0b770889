// SPDX-License-Identifier: Apache-2.0
// Series on a canvas: at most four points per pixel column and series, whatever the zoom.
import type { Pyramid } from '../frames/pyramid';
import { type Connect, type Pen, trace } from '../frames/trace';
import { seriesColour, seriesDash, themeTokens } from '../theme';
import type { LineCache, TracedLine, TracedSpan } from './lineCache';
import type { ChartModel } from './model';
import type { ChartMode } from './options';
import type { Drawn } from './stack';

/** The plot's rectangle and scales, in the canvas' own pixels. */
export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
  /** Canvas pixels per CSS pixel. */
  ratio: number;
  xMin: number;
  xMax: number;
  yMin: number;
  yMax: number;
}

export const FADED = 0.28;
const GHOST = 0.62;
const GHOST_DASH = [3, 3];

/**
 * More points than this in one chart are drawn with lines of one pixel: without a graphics card those cost an eighth of
 * thicker ones, and lines that dense are no clearer when thick.
 */
export const DENSE_POINTS = 6000;

/** Where steps and values are; steps of even distance need no look-up. */
export function places(frame: Frame, x: Float64Array): { x: (index: number) => number; y: (value: number) => number } {
  const perMs = frame.width / (frame.xMax - frame.xMin || 1);
  const perUnit = frame.height / (frame.yMax - frame.yMin || 1);
  const y = (value: number) => frame.top + (frame.yMax - value) * perUnit;
  const n = x.length;
  const first = x[0] ?? 0;
  const step = n > 1 ? ((x[n - 1] as number) - first) / (n - 1) : 0;
  const even = n < 3 || Math.abs((x[n >> 1] as number) - (first + (n >> 1) * step)) < 1e-6;
  const origin = frame.left + (first - frame.xMin) * perMs;
  if (even) return { x: (index) => origin + index * step * perMs, y };
  return {
    x: (index) => {
      const k = Math.min(n - 1, Math.max(0, Math.floor(index)));
      const at = x[k] as number;
      const next = x[k + 1] ?? at;
      return frame.left + (at + (next - at) * (index - k) - frame.xMin) * perMs;
    },
    y,
  };
}

/** First and last step to draw: one beyond each edge, so that lines leave the plot. */
export function stepsIn(x: Float64Array, min: number, max: number): [number, number] {
  const after = (ms: number) => {
    let low = 0;
    let high = x.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if ((x[mid] as number) < ms) low = mid + 1;
      else high = mid;
    }
    return low;
  };
  return [Math.max(0, after(min) - 1), Math.min(x.length - 1, after(max))];
}

/** A point that lies this near to the line between others, in the canvas' own pixels, is not worth a bend. */
const BEND_PX = 0.2;

/**
 * Points of a traced line in pixels, reused for every series: drawing makes no garbage. A stretch that is straight to the
 * eye is one line: rasterising costs more than finding that out.
 */
class Points implements Pen {
  xs = new Float64Array(8192);
  ys = new Float64Array(8192);
  /** Where parts begin. */
  starts: number[] = [];
  count = 0;
  place: ReturnType<typeof places> = { x: () => 0, y: () => 0 };
  private low = 0;
  private high = 0;
  /** The end of the stretch under way, if there is one, and the slopes from its beginning that pass all points in it. */
  private open = false;
  private endX = 0;
  private endY = 0;
  private least = 0;
  private most = 0;

  begin(place: ReturnType<typeof places>, low: number, high: number): void {
    this.place = place;
    this.count = 0;
    this.starts.length = 0;
    this.open = false;
    this.low = low;
    this.high = high;
  }
  move(index: number, value: number): void {
    this.finish();
    this.starts.push(this.count);
    this.push(this.place.x(index), this.height(value));
  }
  line(index: number, value: number): void {
    const x = this.place.x(index);
    const y = this.height(value);
    if (this.open) {
      const last = this.count - 1;
      const across = x - (this.xs[last] as number);
      const up = y - (this.ys[last] as number);
      if (up >= this.least * across && up <= this.most * across && x > this.endX) {
        this.least = Math.max(this.least, (up - BEND_PX) / across);
        this.most = Math.min(this.most, (up + BEND_PX) / across);
        this.endX = x;
        this.endY = y;
        return;
      }
      this.push(this.endX, this.endY);
    }
    const from = this.count - 1;
    const across = x - (this.xs[from] as number);
    this.open = across > 0;
    if (!this.open) {
      // Straight up or down, within one column of the screen.
      this.push(x, y);
      return;
    }
    const up = y - (this.ys[from] as number);
    this.least = (up - BEND_PX) / across;
    this.most = (up + BEND_PX) / across;
    this.endX = x;
    this.endY = y;
  }
  /** After the last point. */
  finish(): void {
    if (this.open) this.push(this.endX, this.endY);
    this.open = false;
  }
  end(part: number): number {
    return this.starts[part + 1] ?? this.count;
  }

  /** Far outside of the plot a canvas loses precision. */
  private height(value: number): number {
    return Math.min(this.high, Math.max(this.low, this.place.y(value)));
  }
  private push(x: number, y: number): void {
    if (this.count === this.xs.length) {
      const [xs, ys] = [this.xs, this.ys];
      this.xs = new Float64Array(xs.length * 2);
      this.ys = new Float64Array(ys.length * 2);
      this.xs.set(xs);
      this.ys.set(ys);
    }
    this.xs[this.count] = x;
    this.ys[this.count++] = y;
  }
}

const upper = new Points();
const lower = new Points();

function tracePoints(
  into: Points,
  column: { values: Float64Array; pyramid: Pyramid },
  frame: Frame,
  place: ReturnType<typeof places>,
  steps: readonly [number, number],
  connect: Connect,
  windows = 1,
): number {
  into.begin(place, frame.top - 4 * frame.height, frame.top + 5 * frame.height);
  const pixels = (windows * frame.width) / frame.ratio;
  const read = trace(column.values, column.pyramid, steps[0], steps[1], pixels, connect, into);
  into.finish();
  return read;
}

/** What a path is drawn into: the canvas itself, or a path that is kept. */
type Track = Pick<CanvasPath, 'moveTo' | 'lineTo' | 'closePath'>;

function strokeParts(g: CanvasRenderingContext2D, points: Points, dot: number): void {
  g.beginPath();
  followParts(g, points, dot);
  g.stroke();
}

function followParts(g: Track, points: Points, dot: number): void {
  for (let part = 0; part < points.starts.length; part++) {
    const start = points.starts[part] as number;
    const end = points.end(part);
    const [x, y] = [points.xs[start] as number, points.ys[start] as number];
    // A sample between two gaps has no line: it is a dot.
    if (end - start === 1) {
      g.moveTo(x - dot, y);
      g.lineTo(x + dot, y);
      continue;
    }
    g.moveTo(x, y);
    for (let k = start + 1; k < end; k++) g.lineTo(points.xs[k] as number, points.ys[k] as number);
  }
}

function fillParts(g: CanvasRenderingContext2D, top: Points, bottom: Points | number): void {
  g.beginPath();
  followBand(g, top, bottom);
  g.fill();
}

function followBand(g: Track, top: Points, bottom: Points | number): void {
  for (let part = 0; part < top.starts.length; part++) {
    const start = top.starts[part] as number;
    const end = top.end(part);
    g.moveTo(top.xs[start] as number, top.ys[start] as number);
    for (let k = start + 1; k < end; k++) g.lineTo(top.xs[k] as number, top.ys[k] as number);
    if (typeof bottom === 'number') {
      g.lineTo(top.xs[end - 1] as number, bottom);
      g.lineTo(top.xs[start] as number, bottom);
    } else {
      const from = bottom.starts[part];
      if (from === undefined) continue;
      for (let k = bottom.end(part) - 1; k >= from; k--) g.lineTo(bottom.xs[k] as number, bottom.ys[k] as number);
    }
    g.closePath();
  }
}

/** A series of an older period: dashed, and with an edge around it where it crosses bands of its own colour. */
function strokeGhost(g: CanvasRenderingContext2D, points: Points, ratio: number, edge: boolean, faded: number): void {
  const colour = g.strokeStyle;
  if (edge) {
    g.setLineDash([]);
    g.strokeStyle = themeTokens().semantic.panel;
    g.lineWidth = 3 * ratio;
    g.globalAlpha = faded * 0.7;
    strokeParts(g, points, 2 * ratio);
    g.strokeStyle = colour;
  }
  g.globalAlpha = faded * (edge ? 1 : GHOST);
  g.setLineDash(GHOST_DASH.map((d) => d * ratio));
  g.lineWidth = 1.25 * ratio;
  strokeParts(g, points, 2 * ratio);
}

export interface Painting {
  frame: Frame;
  model: ChartModel;
  drawn: readonly Drawn[];
  hidden: ReadonlySet<string>;
  mode: ChartMode;
  /** The series that others fade behind. */
  focus: number | null;
  connect: Connect;
  /** Of the chart that is drawn; without one every line is traced anew. */
  cache?: LineCache;
}

/** The points traced last as paths that can be kept. */
function tracedLine(span: TracedSpan, zero: number, band: boolean): TracedLine {
  const line = new Path2D();
  followParts(line, upper, 2 * span.frame.ratio);
  if (!band) return { line, band: null };
  const { top, height } = span.frame;
  const below = new Path2D();
  followBand(below, upper, Math.min(top + 5 * height, Math.max(top - 4 * height, zero)));
  return { line, band: below };
}

function lineStyle(g: CanvasRenderingContext2D, slot: number, width: number, alpha: number, ratio: number): void {
  g.globalAlpha = alpha;
  const dash = seriesDash(slot);
  g.setLineDash(dash ? dash.map((d) => d * ratio) : []);
  g.lineWidth = width;
}

/** Returns how many stored entries it read, all series together. */
export function paint(g: CanvasRenderingContext2D, painting: Painting): number {
  const { frame, model, drawn, hidden, mode, focus, connect } = painting;
  if (model.x.length === 0) return 0;
  const place = places(frame, model.x);
  const steps = stepsIn(model.x, frame.xMin, frame.xMax);
  const zero = Math.min(frame.top + frame.height, Math.max(frame.top, place.y(0)));
  const dense = model.series.length * Math.min(steps[1] - steps[0], 4 * frame.width) > DENSE_POINTS;
  const kept =
    mode === 'stack' ? null : (painting.cache?.open(model, frame, connect, (a, b) => stepsIn(model.x, a, b)) ?? null);
  let spanPlace: ReturnType<typeof places> | null = null;
  let read = 0;
  g.save();
  g.beginPath();
  g.rect(frame.left, frame.top, frame.width, frame.height);
  g.clip();
  g.lineJoin = 'bevel';
  g.lineCap = 'butt';
  // Stacked bands are painted from the top down, so that each one's edge stays on top of the band above.
  const order = model.series.map((_s, i) => (mode === 'stack' ? model.series.length - 1 - i : i));
  if (focus !== null && mode !== 'stack') order.push(...order.splice(order.indexOf(focus), 1));
  // Older periods lie over everything.
  order.sort((a, b) => Number(model.series[a]?.ghost ?? false) - Number(model.series[b]?.ghost ?? false));
  for (const index of order) {
    const series = model.series[index];
    const column = drawn[index];
    if (!series || !column || hidden.has(series.id)) continue;
    const faded = focus !== null && focus !== index ? FADED : 1;
    const colour = seriesColour(series.slot);
    g.strokeStyle = colour;
    g.fillStyle = colour;
    if (kept && !series.ghost) {
      const { line, band } = kept.line(index, (span) => {
        const own = spanPlace ?? places(span.frame, model.x);
        spanPlace = own;
        read += tracePoints(upper, column, span.frame, own, span.steps, connect, span.windows);
        return tracedLine(span, own.y(0), mode === 'area');
      });
      const [right, down] = kept.shift;
      g.translate(right, down);
      if (band) {
        g.globalAlpha = faded * 0.14;
        g.fill(band);
      }
      lineStyle(g, series.slot, (dense ? 1 : 1.5) * frame.ratio, faded, frame.ratio);
      g.stroke(line);
      g.translate(-right, -down);
      continue;
    }
    read += tracePoints(upper, column, frame, place, steps, connect);
    if (!series.ghost && mode === 'stack' && column.base) {
      read += tracePoints(lower, column.base, frame, place, steps, connect);
      g.globalAlpha = faded * (series.slot < 0 ? 0.16 : 0.62);
      fillParts(g, upper, lower);
    } else if (!series.ghost && mode === 'area') {
      g.globalAlpha = faded * 0.14;
      fillParts(g, upper, zero);
    }
    if (series.ghost) strokeGhost(g, upper, frame.ratio, mode !== 'line', faded);
    else {
      lineStyle(g, series.slot, (dense || mode === 'stack' ? 1 : 1.5) * frame.ratio, faded, frame.ratio);
      strokeParts(g, upper, 2 * frame.ratio);
    }
  }
  g.restore();
  return read;
}
