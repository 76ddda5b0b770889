// SPDX-License-Identifier: Apache-2.0
// Live series of one chart: fixed-size columns on a step grid, overwritten in a circle, so memory stays flat.
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
  private readonly capacity: number;
  private readonly slotTimes: Float64Array;
  private readonly columns = new Map<string, Column>();
  private readonly schemas = new Map<string, Column[]>();
  private readonly listeners = new Set<() => void>();
  private readonly errors = new Map<string, string>();
  private stops: (() => void)[] = [];
  private latest = 0;
  private readonly heard = new Set<string>();
  private cached: ChartModel | null = null;

  constructor(
    private readonly queries: readonly LiveQuery[],
    private readonly windowMs: number,
    private readonly stepMs: number,
  ) {
    this.capacity = Math.ceil(windowMs / stepMs) + 16;
    this.slotTimes = new Float64Array(this.capacity);
  }

  start(): void {
    if (this.stops.length > 0) return;
    this.stops = this.queries.map((query) =>
      live.subscribe({
        args: () => ({
          expr: query.expr,
          step: this.stepMs,
          from: Math.max(this.latest, Math.floor((Date.now() - this.windowMs) / this.stepMs) * this.stepMs),
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
    return this.latest;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  window(): { min: number; max: number } {
    const max = this.latest || Date.now();
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
        column = { id, labels, query, values: new Float64Array(this.capacity).fill(Number.NaN) };
        this.columns.set(id, column);
      }
      list.push(column);
    }
    this.schemas.set(query.key, list);
    this.errors.delete(query.key);
    if (reset && series.length === 0) this.heard.add(query.key);
    this.changed();
  }

  private slotOf(time: number): number {
    const slot = ((Math.round(time / this.stepMs) % this.capacity) + this.capacity) % this.capacity;
    const grid = Math.round(time / this.stepMs) * this.stepMs;
    const held = this.slotTimes[slot] ?? 0;
    if (held !== grid) {
      if (held > grid) return -1; // older than the circle holds
      this.slotTimes[slot] = grid;
      for (const column of this.columns.values()) column.values[slot] = Number.NaN;
    }
    return slot;
  }

  private frame(query: LiveQuery, frame: SeriesFrame): void {
    const list = this.schemas.get(query.key) ?? [];
    const n = frame.times.length;
    this.heard.add(query.key);
    this.errors.delete(query.key);
    for (let k = 0; k < n; k++) {
      const time = frame.times[k] as number;
      const slot = this.slotOf(time);
      if (slot < 0) continue;
      if (time > this.latest) this.latest = Math.round(time / this.stepMs) * this.stepMs;
      for (let s = 0; s < frame.indices.length; s++) {
        const column = list[frame.indices[s] as number];
        if (column) column.values[slot] = frame.values[s * n + k] as number;
      }
    }
    this.changed();
  }

  private changed(): void {
    this.cached = null;
    for (const listener of this.listeners) listener();
  }

  private build(): ChartModel {
    const { min, max } = this.window();
    const first = Math.ceil(min / this.stepMs);
    const count = Math.max(0, Math.floor(max / this.stepMs) - first + 1);
    const x: number[] = [];
    const slots: number[] = [];
    for (let k = 0; k < count; k++) {
      const time = (first + k) * this.stepMs;
      const slot = (((first + k) % this.capacity) + this.capacity) % this.capacity;
      x.push(time);
      slots.push(this.slotTimes[slot] === time ? slot : -1);
    }
    const ordered = this.queries.flatMap((query) => {
      const own = [...this.columns.values()].filter((c) => c.query === query);
      return own.sort((a, b) =>
        inOrder(query, { ...a, name: query.name(a.labels) }, { ...b, name: query.name(b.labels) }),
      );
    });
    const series: SeriesModel[] = [];
    for (const column of ordered) {
      let any = false;
      const values = slots.map((slot) => {
        const value = slot < 0 ? Number.NaN : (column.values[slot] as number);
        if (!Number.isFinite(value)) return null;
        any = true;
        return value;
      });
      if (any)
        series.push({
          id: column.id,
          labels: column.labels,
          name: column.query.name(column.labels),
          values,
          slot: column.query.rest ? -1 : 0,
        });
    }
    return { x, series: assignSlots(series) };
  }
}
