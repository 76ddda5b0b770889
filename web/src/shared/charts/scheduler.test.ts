// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BUDGET_MS, type Drawable, schedule, unschedule } from './scheduler';

describe('drawing loop', () => {
  let now = 0;
  let frames: (() => void)[] = [];
  const drawn: string[] = [];
  const frame = () => {
    const due = frames;
    frames = [];
    for (const run of due) run();
  };
  const item = (name: string, cost: number, distance = 0, seen = true): Drawable & { seen: boolean } => ({
    seen,
    visible() {
      return this.seen;
    },
    distance: () => distance,
    draw: () => {
      drawn.push(name);
      now += cost;
    },
  });

  beforeEach(() => {
    now = 0;
    frames = [];
    drawn.length = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    vi.stubGlobal('requestAnimationFrame', (run: () => void) => frames.push(run));
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it('draws the middle of the screen first, each once a frame', () => {
    const [far, near] = [item('far', 1, 500), item('near', 1, 10)];
    for (const one of [far, near, far]) schedule(one);
    expect(frames).toHaveLength(1);
    frame();
    expect(drawn).toEqual(['near', 'far']);
    expect(frames).toHaveLength(0);
  });

  it('leaves to the next frame what would not fit', () => {
    const items = [1, 2, 3].map((n) => item(`${n}`, BUDGET_MS / 2 + 1, n));
    for (const one of items) schedule(one);
    frame();
    // Nothing is known of their cost yet: the second one is still begun within the budget.
    expect(drawn).toEqual(['1', '2']);
    frame();
    expect(drawn).toEqual(['1', '2', '3']);
    drawn.length = 0;
    for (const one of items) schedule(one);
    for (let n = 1; n <= 3; n++) {
      frame();
      expect(drawn).toHaveLength(n);
    }
    expect(frames).toHaveLength(0);
  });

  it('reaches what is far from the middle, though what is near changes before every frame', () => {
    const [near, far] = [item('near', BUDGET_MS + 5, 10), item('far', BUDGET_MS + 5, 500)];
    for (let n = 0; n < 6; n++) {
      schedule(near);
      schedule(far);
      frame();
    }
    expect(drawn).toEqual(['near', 'far', 'near', 'far', 'near', 'far']);
    unschedule(near);
    frame();
    expect(frames).toHaveLength(0);
  });

  it('waits as long as the last picture is good enough, and no longer', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const patience = vi.fn(() => 140);
    const away = { ...item('away', 0), patience };
    schedule(away);
    frame();
    expect(drawn).toEqual(['away']);
    schedule(away);
    frame();
    expect(frames).toHaveLength(0);
    now += 139;
    vi.advanceTimersByTime(139);
    expect(frames).toHaveLength(0);
    now += 1;
    vi.advanceTimersByTime(1);
    frame();
    expect(drawn).toEqual(['away', 'away']);
    // Scrolled to meanwhile.
    patience.mockReturnValue(1000);
    schedule(away);
    frame();
    patience.mockReturnValue(0);
    now += 250;
    vi.advanceTimersByTime(250);
    frame();
    expect(drawn).toEqual(['away', 'away', 'away']);
    expect(frames).toHaveLength(0);
    vi.useRealTimers();
  });

  it('waits with what is out of sight, and forgets what is gone', () => {
    const [hidden, gone] = [item('hidden', 1, 0, false), item('gone', 1)];
    schedule(hidden);
    schedule(gone);
    unschedule(gone);
    frame();
    expect(drawn).toEqual([]);
    expect(frames).toHaveLength(0);
    hidden.seen = true;
    schedule(hidden);
    frame();
    expect(drawn).toEqual(['hidden']);
  });
});
