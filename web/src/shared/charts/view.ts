// SPDX-License-Identifier: Apache-2.0
// One chart on screen. uPlot draws axes and keeps scales, painter.ts draws the series into uPlot's canvas, and a second
// canvas above holds crosshair, markers and selection. Nothing here passes through React. A chart that is further from the
// screen than one screen holds no canvas at all.
import uPlot from 'uplot';
import { seriesColour } from '../theme';
import type { Range } from '../time/range';
import css from './Chart.module.css';
import { attachGestures } from './gestures';
import { LineCache } from './lineCache';
import { type ChartModel, type ChartSource, NO_MODEL, nearest, valueAt } from './model';
import { chartOptions, type LookOptions, shrinkFor, yRange } from './options';
import { type Box, nearestSeries, Overlay, type SeriesMarker } from './overlay';
import { type Frame, paint, places, stepsIn } from './painter';
import { patience } from './patience';
import { type Drawable, schedule, unschedule } from './scheduler';
import { type Drawn, plain, spanOf, stacked } from './stack';
import { type Follower, join, tell } from './sync';
import { type SeriesActions, Tooltip } from './tooltip';

const MOST_MARKERS = 60;
const GROWTH = 0.2;

export interface ViewCallbacks {
  onZoom: ((range: Range) => void) | undefined;
  onZoomOut: (() => void) | undefined;
}

export class ChartView implements Drawable, Follower {
  private plot: uPlot | null = null;
  private overlay: Overlay | null = null;
  private readonly lines = new LineCache();
  private near = false;
  private width = 0;
  private height = 0;
  private shrink = 1;
  private model: ChartModel = NO_MODEL;
  private drawn: readonly Drawn[] = [];
  private drawnOf: { model: ChartModel; key: string } | null = null;
  private unsubscribe: () => void = () => undefined;
  private leave: () => void = () => undefined;
  private readonly tooltip: Tooltip;
  private readonly seen: IntersectionObserver;
  private readonly sized: ResizeObserver;
  private readonly detach: () => void;
  private source: ChartSource | null = null;
  private look: LookOptions = { unit: 'short', mode: 'line', zone: 'browser' };
  private hidden: ReadonlySet<string> = new Set();
  private previewed: { min: number; max: number } | null = null;
  private held: [number, number] | null = null;
  private urgent = false; // something else than time changed since the last drawing, which drew this window:
  private shown = { min: 0, max: 1 };
  /** Own pointer within the host, another chart's time, or a step that the keyboard chose. */
  private pointer: { x: number; y: number } | null = null;
  private chosen: { step: number; series: number } | null = null;
  private followed: number | null = null;
  private selection: readonly [number, number] | null = null;
  private focused: number | null = null;
  private pinnedFocus: number | null = null;
  /** Entries read by the last drawing: what the benchmark and tests look at. */
  entriesRead = 0;
  callbacks: ViewCallbacks = { onZoom: undefined, onZoomOut: undefined };

  constructor(private readonly host: HTMLElement) {
    this.tooltip = new Tooltip(host);
    // The crosshair goes along; the next move of a pointer brings it back.
    this.tooltip.onUnpin = () => this.pointAtPixel(null);
    // Within one screen counts as seen, so that scrolling finds charts drawn.
    this.seen = new IntersectionObserver(
      (entries) => {
        this.near = entries.at(-1)?.isIntersecting ?? false;
        if (this.near) this.drawSoon();
        else this.release();
      },
      { rootMargin: '100% 0px' },
    );
    this.seen.observe(host);
    this.sized = new ResizeObserver((entries) => {
      const box = entries.at(-1)?.contentRect;
      if (!box) return;
      this.width = Math.floor(box.width);
      this.height = Math.floor(box.height);
      this.drawSoon();
    });
    this.sized.observe(host);
    this.detach = attachGestures(host, {
      view: () => (this.plot ? { box: this.box(), ...this.window() } : null),
      canZoom: () => this.callbacks.onZoom !== undefined,
      zoom: (range) => this.callbacks.onZoom?.(range),
      zoomOut: () => this.callbacks.onZoomOut?.(),
      preview: (span) => this.preview(span),
      point: (at) => this.pointAtPixel(at),
      mark: (span) => {
        this.mark(span);
        if (this.look.syncKey) tell(this.look.syncKey, this, (other) => other.mark(span));
      },
      pin: () => this.tooltip.togglePin(),
    });
  }

  update(source: ChartSource, look: LookOptions, hidden: ReadonlySet<string>): void {
    if (source !== this.source) {
      this.unsubscribe();
      this.source = source;
      this.previewed = null;
      this.unsubscribe = source.subscribe(() => schedule(this));
    }
    if (JSON.stringify(look) !== JSON.stringify(this.look)) {
      if (look.syncKey !== this.look.syncKey) {
        this.leave();
        this.leave = look.syncKey ? join(look.syncKey, this) : () => undefined;
      }
      this.look = look;
      this.release();
    }
    this.hidden = hidden;
    this.tooltip.look = look;
    this.drawSoon();
  }

  set actions(actions: SeriesActions) {
    this.tooltip.actions = actions;
  }

  /** Theme, language or clock changed: colours and labels are baked into the axes. */
  rebuild(): void {
    this.release();
    this.drawSoon();
  }

  visible(): boolean {
    return this.near && this.width > 40 && this.height > 40;
  }

  distance(): number {
    const { top, bottom } = this.host.getBoundingClientRect();
    return Math.abs((top + bottom) / 2 - innerHeight / 2);
  }

  patience(): number {
    if (!this.plot) return 0;
    const box = this.host.getBoundingClientRect();
    return this.urgent ? patience(box) : patience(box, this.shown, this.window(), this.box().width);
  }

  /** Another span than the source's, until new data comes: while panning and pinching. */
  preview(span: { min: number; max: number } | null): void {
    this.previewed = span;
    this.drawSoon();
  }

  private drawSoon(): void {
    this.urgent = true;
    schedule(this);
  }
  private window(): { min: number; max: number } {
    return this.previewed ?? this.source?.window() ?? { min: 0, max: 1 };
  }

  draw(): void {
    const { source } = this;
    if (!source) return;
    this.model = source.model();
    this.drawn = this.columns();
    const { min, max } = this.window();
    this.urgent = false;
    this.shown = { min, max };
    const [from, to] = stepsIn(this.model.x, min, max);
    const shown = (index: number) => !this.hidden.has(this.model.series[index]?.id ?? '');
    const span = spanOf(this.drawn, shown, from, to);
    const [low, high] = this.steady(yRange(span?.[0] ?? null, span?.[1] ?? null, this.look));
    const plot = this.plot ?? this.create(min, max);
    this.resize(plot);
    plot.batch(() => {
      // uPlot itself only ever sees the two ends.
      plot.setData(
        [
          [min, max],
          [low, high],
        ],
        false,
      );
      plot.setScale('x', { min, max });
      plot.setScale('y', { min: low, max: high });
    });
    this.drawOverlay();
  }

  /** While someone moves the chart its height stays, and only grows where lines would leave it: nothing jumps. */
  private steady([low, high]: [number, number]): [number, number] {
    if (!this.previewed) this.held = null;
    else if (!this.held) this.held = [low, high];
    else if (low < this.held[0] || high > this.held[1]) {
      const more = (high - low) * GROWTH;
      this.held = [low < this.held[0] ? low - more : this.held[0], high > this.held[1] ? high + more : this.held[1]];
    }
    return this.held ?? [low, high];
  }

  /** Sums are made again only when the data or the choice of series changed. */
  private columns(): readonly Drawn[] {
    const key = `${this.look.mode}|${[...this.hidden].join()}`;
    if (this.drawnOf?.model === this.model && this.drawnOf.key === key) return this.drawn;
    this.drawnOf = { model: this.model, key };
    return this.look.mode === 'stack' ? stacked(this.model.series, this.hidden) : plain(this.model.series);
  }

  private create(min: number, max: number): uPlot {
    this.shrink = shrinkFor(devicePixelRatio);
    const [width, height] = this.plotSize();
    const options = chartOptions(this.look, width, height, this.shrink, { draw: [(u) => this.paint(u)] });
    const ends: uPlot.AlignedData = [
      [min, max],
      [0, 1],
    ];
    const plot = new uPlot(options, ends, this.host);
    if (this.shrink < 1) {
      plot.root.style.transform = `scale(${1 / this.shrink})`;
      plot.root.style.transformOrigin = '0 0';
    }
    this.overlay = new Overlay(this.host, css.overlay ?? '');
    this.plot = plot;
    return plot;
  }

  private plotSize(): [number, number] {
    return [Math.round(this.width * this.shrink), Math.round(this.height * this.shrink)];
  }

  private resize(plot: uPlot): void {
    const [width, height] = this.plotSize();
    if (plot.width !== width || plot.height !== height) plot.setSize({ width, height });
    this.overlay?.resize(this.width, this.height);
  }

  private frame(u: uPlot): Frame {
    const { left, top, width, height } = u.bbox;
    const [x, y] = [u.scales.x, u.scales.y];
    return {
      left,
      top,
      width,
      height,
      ratio: Math.min(2, devicePixelRatio),
      xMin: x?.min ?? 0,
      xMax: x?.max ?? 1,
      yMin: y?.min ?? 0,
      yMax: y?.max ?? 1,
    };
  }

  private paint(u: uPlot): void {
    this.entriesRead = paint(u.ctx, {
      frame: this.frame(u),
      model: this.model,
      drawn: this.drawn,
      hidden: this.hidden,
      mode: this.look.mode,
      focus: this.pinnedFocus ?? (this.look.mode === 'stack' ? null : this.focused),
      connect: this.look.connect ?? 'never',
      cache: this.lines,
    });
  }

  private box(): Box {
    const ratio = Math.min(2, devicePixelRatio);
    const { left = 0, top = 0, width = 0, height = 0 } = this.plot?.bbox ?? {};
    return { left: left / ratio, top: top / ratio, width: width / ratio, height: height / ratio };
  }

  // ---- crosshair ----

  private pointAtPixel(at: { x: number; y: number } | null): void {
    if (this.tooltip.isPinned()) return;
    this.pointer = at;
    this.chosen = null;
    this.drawOverlay();
    if (!this.look.syncKey) return;
    const time = at && this.plot ? this.timeAt(at.x) : null;
    tell(this.look.syncKey, this, (other) => other.follow(time));
  }

  private timeAt(x: number): number {
    const box = this.box();
    const { min, max } = this.window();
    return min + ((x - box.left) / box.width) * (max - min);
  }

  follow(timeMs: number | null): void {
    this.followed = timeMs;
    if (this.near) this.drawOverlay();
  }

  mark(span: readonly [number, number] | null): void {
    this.selection = span;
    if (this.near) this.drawOverlay();
  }

  private drawOverlay(): void {
    const { plot, overlay } = this;
    if (!plot || !overlay) return;
    const box = this.box();
    const { min, max } = this.window();
    const xOf = (ms: number) => box.left + ((ms - min) / (max - min)) * box.width;
    const selection = this.selection ? ([xOf(this.selection[0]), xOf(this.selection[1])] as const) : null;
    const own = this.chosen?.step ?? (this.pointer ? nearest(this.model.x, this.timeAt(this.pointer.x)) : -1);
    if (own < 0) {
      this.setFocus(null);
      this.tooltip.hide();
      overlay.draw(box, this.followed === null ? null : xOf(this.followed), selection);
      return;
    }
    const markers = this.markers(plot, own);
    const x = xOf(this.model.x[own] as number);
    this.setFocus(this.chosen?.series ?? nearestSeries(markers, this.pointer?.y));
    overlay.draw(box, x, selection, markers.slice(0, MOST_MARKERS));
    this.tooltip.focused = this.focused;
    const rect = this.host.getBoundingClientRect();
    const y = this.pointer?.y ?? markers.find((m) => m.index === this.focused)?.y ?? box.top;
    this.tooltip.show({
      model: this.model,
      hidden: this.hidden,
      step: own,
      clientX: rect.left + x,
      clientY: rect.top + y,
    });
  }

  private markers(plot: uPlot, step: number): SeriesMarker[] {
    const frame = this.frame(plot);
    const place = places(frame, this.model.x);
    const out: SeriesMarker[] = [];
    this.model.series.forEach((series, index) => {
      const value = this.drawn[index]?.values[step];
      if (this.hidden.has(series.id) || value === undefined || Number.isNaN(value)) return;
      out.push({
        index,
        x: place.x(step) / frame.ratio,
        y: place.y(value) / frame.ratio,
        colour: seriesColour(series.slot),
      });
    });
    return out;
  }

  private setFocus(index: number | null): void {
    if (index === this.focused) return;
    this.focused = index;
    this.drawSoon();
  }

  /** Moves the crosshair to a step of a series; used by the keyboard. */
  pointAt(step: number | null, series: number): void {
    this.chosen = step === null ? null : { step, series };
    if (step === null) this.pointer = null;
    this.drawOverlay();
    const time = step === null ? null : (this.model.x[step] ?? null);
    if (this.look.syncKey) tell(this.look.syncKey, this, (other) => other.follow(time));
  }

  /** Pins the tooltip at the crosshair and moves the focus into it. */
  pin(): void {
    this.tooltip.togglePin(true);
  }

  /** Fades the others while a legend row is hovered. */
  focus(series: number | null): void {
    if (series === this.pinnedFocus) return;
    this.pinnedFocus = series;
    this.drawSoon();
  }

  /** Value under the crosshair, for speech. */
  valueAt(step: number, series: number): number | null {
    const found = this.model.series[series];
    return found ? valueAt(found, step) : null;
  }

  private release(): void {
    this.plot?.destroy();
    this.plot = null;
    this.lines.clear();
    this.overlay?.destroy();
    this.overlay = null;
  }

  destroy(): void {
    unschedule(this);
    this.unsubscribe();
    this.leave();
    this.seen.disconnect();
    this.sized.disconnect();
    this.detach();
    this.tooltip.destroy();
    this.release();
    this.model = NO_MODEL;
    this.drawn = [];
  }
}
