// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { SubscriptionHandler } from './client';

const handlers: SubscriptionHandler[] = [];
vi.mock('./client', () => ({
  live: {
    subscribe: (handler: SubscriptionHandler) => {
      handlers.push(handler);
      return () => undefined;
    },
  },
}));
const { LiveFeed } = await import('./feed');

const T0 = 1_795_516_320_000;
const frame = (seq: number, times: number[], indices: number[], values: number[]) => ({
  sub: 1,
  seq,
  correction: false,
  times: Float64Array.from(times),
  indices: Uint32Array.from(indices),
  values: Float64Array.from(values),
});

describe('live feed', () => {
  beforeEach(() => {
    handlers.length = 0;
  });

  const start = () => {
    const feed = new LiveFeed([{ key: 'q', expr: 'x', name: (l) => l.host ?? '' }], 10_000, 1000);
    feed.start();
    const handler = handlers[0] as SubscriptionHandler;
    handler.onSchema([{ labels: { host: 'a' } }], true);
    return { feed, handler };
  };

  it('keeps a window of steps with gaps where nothing came', () => {
    const { feed, handler } = start();
    handler.onFrame(frame(1, [T0, T0 + 1000], [0], [1, 2]));
    handler.onFrame(frame(2, [T0 + 3000], [0], [4]));
    const model = feed.model();
    expect(feed.window()).toEqual({ min: T0 - 7000, max: T0 + 3000 });
    expect([...model.x]).toEqual([T0, T0 + 1000, T0 + 2000, T0 + 3000]);
    expect([...(model.series[0]?.values ?? [])]).toEqual([1, 2, Number.NaN, 4]);
  });

  it('does not grow, drops what left the window and takes corrections', () => {
    const { feed, handler } = start();
    for (let k = 0; k < 500; k++) handler.onFrame(frame(k, [T0 + k * 1000], [0], [k]));
    const last = T0 + 499_000;
    expect([...(feed.model().series[0]?.values ?? [])]).toEqual(Array.from({ length: 11 }, (_, i) => 489 + i));
    handler.onFrame(frame(501, [last - 2000], [0], [-1]));
    expect(feed.model().series[0]?.values.at(-3)).toBe(-1);
    handler.onFrame(frame(502, [T0], [0], [77]));
    expect(feed.model().series[0]?.values).not.toContain(77);
  });

  it('adds series that appear later and finds the old ones again after a reconnect', () => {
    const { feed, handler } = start();
    handler.onFrame(frame(1, [T0], [0], [1]));
    handler.onSchema([{ labels: { host: 'b' } }], false);
    handler.onFrame(frame(2, [T0 + 1000], [0, 1], [2, 20]));
    expect(feed.model().series.map((s) => s.name)).toEqual(['a', 'b']);
    const from = handler.args().from;
    expect(from).toBeGreaterThanOrEqual(T0 + 1000);
    handler.onSchema([{ labels: { host: 'b' } }, { labels: { host: 'a' } }], true);
    handler.onFrame(frame(3, [T0 + 2000], [0, 1], [30, 3]));
    const [a, b] = feed.model().series;
    expect([...(a?.values.slice(-3) ?? [])]).toEqual([1, 2, 3]);
    expect([...(b?.values.slice(-3) ?? [])]).toEqual([Number.NaN, 20, 30]);
  });

  it('says which query failed', () => {
    const { feed, handler } = start();
    handler.onError('bad_data', 'no such function', false);
    expect(feed.failureOf('q')).toBe('no such function');
  });
});
