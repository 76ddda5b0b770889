// SPDX-License-Identifier: Apache-2.0
// One chart on screen: owns the uPlot instance, redraws it when its source changed, and turns pointer and keys into moves.
// Nothing here passes through React: samples and crosshair go straight to the canvas.
import uPlot from 'uplot';
import { themeTokens } from '../theme';
import type { Range } from '../time/range';
import { attachGestures } from './gestures';
import type { ChartModel, ChartSource } from './model';
import { chartOptions, type LookOptions, seriesOptions, stacked } from './options';
import { type Drawable, schedule, unschedule } from './scheduler';
import { Tooltip } from './tooltip';

const FADED = 0.35;

export interface ViewCallbacks {
  onZoom: ((range: Range) => void) | undefined;
  onZoomOut: (() => void) | undefined;
  onCursor: ((index: number | null) => void) | undefined;
}

export class ChartView implements Drawable {
  private plot: uPlot | null = null;
  private shape = '';
  private near = false;
  private width = 0;
  private height = 0;
  private shown: ChartModel = { x: [], series: [] };
  private unsubscribe: () => void = () => undefined;
  private readonly tooltip: Tooltip;
  private readonly seen: IntersectionObserver;
  private readonly sized: ResizeObserver;
  private readonly detachGestures: () => void;
  private source: ChartSource | null = null;
  private look: LookOptions = { unit: 'short', mode: 'line', zone: 'browser' };
  private hidden: ReadonlySet<string> = new Set();
  callbacks: ViewCallbacks = { onZoom: undefined, onZoomOut: undefined, onCursor: undefined };

  constructor(private readonly host: HTMLElement) {
    this.tooltip = new Tooltip(host);
    // Within one viewport of the screen counts as seen, so that scrolling finds charts drawn.
    this.seen = new IntersectionObserver(
      (entries) => {
        this.near = entries.some((e) => e.isIntersecting);
        if (this.near) schedule(this);
      },
      { rootMargin: '100% 0px' },
    );
    this.seen.observe(host);
    this.sized = new ResizeObserver((entries) => {
      const box = entries.at(-1)?.contentRect;
      if (!box) return;
      this.width = Math.floor(box.width);
      this.height = Math.floor(box.height);
      schedule(this);
    });
    this.sized.observe(host);
    host.addEventListener('dblclick', this.doubleClick);
    host.addEventListener('wheel', this.wheel, { passive: false });
    this.detachGestures = attachGestures(host, {
      plot: () => (this.callbacks.onZoom ? this.plot : null),
      zoom: (range) => this.callbacks.onZoom?.(range),
    });
    host.addEventListener('pointerenter', this.entered);
    host.addEventListener('pointerleave', this.left);
  }

  private readonly entered = (): void => this.fade(this.look.mode !== 'stack');
  private readonly left = (): void => {
    this.fade(false);
    this.plot?.setSeries(null, { focus: true });
  };

  /** Whether the series that is not focused fades. Charts that only follow another one's crosshair never do. */
  private fade(on: boolean): void {
    const focus = (this.plot as unknown as { focus?: { alpha: number } } | null)?.focus;
    if (focus) focus.alpha = on ? FADED : 1;
  }

  update(source: ChartSource, look: LookOptions, hidden: ReadonlySet<string>): void {
    if (source !== this.source) {
      this.unsubscribe();
      this.source = source;
      this.unsubscribe = source.subscribe(() => schedule(this));
    }
    if (JSON.stringify(look) !== JSON.stringify(this.look)) this.shape = '';
    this.look = look;
    this.hidden = hidden;
    this.tooltip.look = look;
    schedule(this);
  }

  /** Theme, language or clock changed: colours and labels are baked into the options. */
  rebuild(): void {
    this.shape = '';
    schedule(this);
  }

  visible(): boolean {
    return this.near && this.width > 40 && this.height > 40;
  }

  draw(): void {
    const { source } = this;
    if (!source) return;
    const model = source.model();
    const { min, max } = source.window();
    this.shown = model;
    const stack = this.look.mode === 'stack' ? stacked(model.series, this.hidden) : null;
    const columns = stack?.columns ?? model.series.map((s) => s.values);
    const data = [model.x, ...columns] as uPlot.AlignedData;
    const shape = `${this.look.mode}|${[...this.hidden].join()}|${model.series.map((s) => `${s.id}#${s.slot}`).join('|')}`;
    if (!this.plot || shape !== this.shape) this.create(data, stack?.bands ?? [], shape);
    const plot = this.plot;
    if (!plot) return;
    if (plot.width !== this.width || plot.height !== this.height)
      plot.setSize({ width: this.width, height: this.height });
    plot.batch(() => {
      plot.setData(data, false);
      plot.setScale('x', { min, max });
    });
    this.tooltip.refresh(plot, model, this.hidden);
  }

  private create(data: uPlot.AlignedData, bands: uPlot.Band[], shape: string): void {
    this.plot?.destroy();
    const hooks: uPlot.Hooks.Arrays = {
      setSelect: [(u) => this.selected(u)],
      setCursor: [
        (u) => {
          this.tooltip.refresh(u, this.shown, this.hidden);
          this.callbacks.onCursor?.(u.cursor.idx ?? null);
        },
      ],
      setSeries: [
        (u, index) => {
          this.tooltip.focused = index === null ? null : index - 1;
          this.tooltip.refresh(u, this.shown, this.hidden);
        },
      ],
    };
    const series = seriesOptions(this.shown.series, this.hidden, this.look.mode);
    const options = chartOptions(this.look, this.width, this.height, series, bands, hooks);
    this.plot = new uPlot(options, data, this.host);
    this.fade(false);
    this.plot.over.style.setProperty('--select', themeTokens().component.select);
    this.plot.over.addEventListener('click', () => {
      if (this.plot && this.plot.select.width === 0) this.tooltip.togglePin();
    });
    this.shape = shape;
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    if (width < 4) return;
    const range = { fromMs: Math.round(u.posToVal(left, 'x')), toMs: Math.round(u.posToVal(left + width, 'x')) };
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (range.toMs - range.fromMs >= 1000) this.callbacks.onZoom?.(range);
  }

  private readonly doubleClick = (event: MouseEvent): void => {
    if (!this.callbacks.onZoomOut || !(event.target instanceof Element) || !event.target.closest('.u-over')) return;
    event.preventDefault();
    this.callbacks.onZoomOut();
  };

  /** Ctrl-wheel zooms at the cursor. */
  private readonly wheel = (event: WheelEvent): void => {
    const { plot } = this;
    if (!event.ctrlKey || !plot || !this.callbacks.onZoom) return;
    event.preventDefault();
    const box = plot.over.getBoundingClientRect();
    const at = plot.posToVal(event.clientX - box.left, 'x');
    const { min = 0, max = 0 } = plot.scales.x ?? {};
    const factor = event.deltaY < 0 ? 0.6 : 1 / 0.6;
    const range = {
      fromMs: Math.round(at - (at - (min ?? 0)) * factor),
      toMs: Math.round(at + ((max ?? 0) - at) * factor),
    };
    if (range.toMs - range.fromMs >= 1000) this.callbacks.onZoom(range);
  };

  /** Moves the crosshair to a point; used by the keyboard. */
  pointAt(index: number | null, seriesIndex: number | null): void {
    const { plot } = this;
    if (!plot) return;
    const x = index === null ? undefined : plot.data[0][index];
    if (x === undefined) {
      plot.setCursor({ left: -10, top: -10 });
      return;
    }
    const y = seriesIndex === null ? null : plot.data[seriesIndex + 1]?.[index as number];
    this.tooltip.focused = seriesIndex;
    plot.setCursor({ left: plot.valToPos(x, 'x'), top: y === null || y === undefined ? 8 : plot.valToPos(y, 'y') });
  }

  /** Fades the others while a legend row is hovered. */
  focus(seriesIndex: number | null): void {
    this.fade(seriesIndex !== null);
    this.plot?.setSeries(seriesIndex === null ? null : seriesIndex + 1, { focus: true });
    if (seriesIndex === null) this.fade(false);
  }

  model(): ChartModel {
    return this.shown;
  }

  destroy(): void {
    unschedule(this);
    this.unsubscribe();
    this.seen.disconnect();
    this.sized.disconnect();
    this.host.removeEventListener('dblclick', this.doubleClick);
    this.host.removeEventListener('wheel', this.wheel);
    this.detachGestures();
    this.host.removeEventListener('pointerenter', this.entered);
    this.host.removeEventListener('pointerleave', this.left);
    this.tooltip.destroy();
    this.plot?.destroy();
    this.plot = null;
  }
}
