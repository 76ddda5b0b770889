// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { patience } from './patience';

const here = { top: 100, bottom: 300 };
const shown = { min: 0, max: 60_000 };

describe('patience of a chart', () => {
  it('is long beyond the screen', () => {
    expect(patience({ top: innerHeight, bottom: innerHeight + 200 })).toBe(1000);
    expect(patience({ top: -200, bottom: 0 }, shown, { min: 600, max: 60_600 }, 400)).toBe(1000);
  });

  it('is short for a step that can hardly be seen, and none for everything else', () => {
    const moved = (ms: number, longer = 0) => patience(here, shown, { min: ms, max: 60_000 + ms + longer }, 400);
    // 400 pixels for a minute: a tenth of a second is two thirds of one.
    expect(moved(100)).toBeGreaterThan(0);
    expect(moved(100)).toBeLessThan(150);
    expect(moved(300)).toBe(0);
    expect(moved(-100)).toBe(0);
    expect(moved(100, 1000)).toBe(0);
    // Other data in the same window, or something that is not time.
    expect(moved(0)).toBe(0);
    expect(patience(here)).toBe(0);
  });
});
