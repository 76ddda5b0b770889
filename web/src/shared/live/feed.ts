// SPDX-License-Identifier: Apache-2.0
// Live series of one chart: columns on a step grid in memory of fixed size, so that a page left open stays as it is.
import type { Labels } from '../api/prom';
import {
  assignSlots,
  type ChartModel,
  type ChartSource,
  inOrder,
  type SeriesModel,
  type SeriesNaming,
  seriesId,
} from '../charts/model';
import { MovingWindow } from '../frames/ring';
import { live } from './client';
import type { SeriesFrame } from './protocol';

export interface LiveQuery extends SeriesNaming {
  expr: string;
}

interface Column {
  id: string;
  labels: Labels;
  query: LiveQuery;
  values: Float64Array;
}

export class LiveFeed implements ChartSource {
  private readonly steps: MovingWindow;
  private readonly columns = new Map<string, Column>();
  private readonly schemas = new Map<string, Column[]>();
  private readonly listeners = new Set<() => void>();
  private readonly errors = new Map<string, string>();
  private stops: (() => void)[] = [];
  private readonly heard = new Set<string>();
  private cached: ChartModel | null = null;

  constructor(
    private readonly queries: readonly LiveQuery[],
    private readonly windowMs: number,
    private readonly stepMs: number,
  ) {
    this.steps = new MovingWindow(Math.ceil(windowMs / stepMs) + 16, stepMs);
  }

  start(): void {
    if (this.stops.length > 0) return;
    this.stops = this.queries.map((query) =>
      live.subscribe({
        args: () => ({
          expr: query.expr,
          step: this.stepMs,
          from: Math.max(this.steps.latest, Math.floor((Date.now() - this.windowMs) / this.stepMs) * this.stepMs),
        }),
        onSchema: (series, reset) => this.schema(query, series, reset),
        onFrame: (frame) => this.frame(query, frame),
        onError: (_code, message) => {
          this.errors.set(query.key, message);
          this.heard.add(query.key);
          this.changed();
        },
      }),
    );
  }

  stop(): void {
    for (const stop of this.stops) stop();
    this.stops = [];
  }

  failures(): string[] {
    return [...this.errors.values()];
  }

  failureOf(key: string): string | undefined {
    return this.errors.get(key);
  }

  /** False until every query brought its first values, said that it has none, or failed. */
  ready(): boolean {
    return this.queries.every((query) => this.heard.has(query.key));
  }

  lastSampleMs(): number {
    return this.steps.latest;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  window(): { min: number; max: number } {
    const max = this.steps.latest || Date.now();
    return { min: max - this.windowMs, max };
  }

  model(): ChartModel {
    this.cached ??= this.build();
    return this.cached;
  }

  private schema(query: LiveQuery, series: readonly { labels: Labels }[], reset: boolean): void {
    const list = reset ? [] : (this.schemas.get(query.key) ?? []);
    for (const { labels } of series) {
      const id = seriesId(query.key, labels);
      let column = this.columns.get(id);
      if (!column) {
        column = { id, labels, query, values: this.steps.column() };
        this.columns.set(id, column);
      }
      list.push(column);
    }
    this.schemas.set(query.key, list);
    this.errors.delete(query.key);
    if (reset && series.length === 0) this.heard.add(query.key);
    this.changed();
  }

  private frame(query: LiveQuery, frame: SeriesFrame): void {
    const list = this.schemas.get(query.key) ?? [];
    const n = frame.times.length;
    this.heard.add(query.key);
    this.errors.delete(query.key);
    for (let k = 0; k < n; k++) {
      const slot = this.steps.slot(frame.times[k] as number);
      if (slot < 0) continue;
      for (let s = 0; s < frame.indices.length; s++) {
        const column = list[frame.indices[s] as number];
        const value = frame.values[s * n + k] as number;
        if (column) column.values[slot] = Number.isFinite(value) ? value : Number.NaN;
      }
    }
    this.changed();
  }

  private changed(): void {
    this.cached = null;
    for (const listener of this.listeners) listener();
  }

  /** Views of the window's memory: valid until the next frame, when the model is built again. */
  private build(): ChartModel {
    const { min } = this.window();
    const ordered = this.queries.flatMap((query) => {
      const own = [...this.columns.values()].filter((c) => c.query === query);
      return own.sort((a, b) =>
        inOrder(query, { ...a, name: query.name(a.labels) }, { ...b, name: query.name(b.labels) }),
      );
    });
    const series: SeriesModel[] = [];
    for (const column of ordered) {
      const values = this.steps.view(column.values, min);
      if (!values.some((value) => !Number.isNaN(value))) continue;
      series.push({
        id: column.id,
        labels: column.labels,
        name: column.query.name(column.labels),
        values,
        pyramid: [],
        slot: column.query.rest ? -1 : 0,
      });
    }
    return { x: this.steps.viewTimes(min), series: assignSlots(series) };
  }
}
