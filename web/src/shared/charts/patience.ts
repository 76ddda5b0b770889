// SPDX-License-Identifier: Apache-2.0
// For how long the picture of a chart is good enough although its data goes on. Without a graphics card handing a canvas to
// the screen costs as much as drawing twenty lines into it, however little has changed.

/** A live chart that moved by less than this is not drawn again before STEP_MS have passed: samples show within 150 ms. */
const STEP_PX = 2;
const STEP_MS = 130;
/** How old a picture beyond the screen may get. */
const AWAY_MS = 1000;

interface Span {
  min: number;
  max: number;
}

/**
 * Milliseconds since it was drawn. `box` is where the chart stands in the window; `shown` is the time it shows, and `now`
 * the time it is to show over `width` pixels, when nothing else has changed.
 */
export function patience(box: { top: number; bottom: number }, shown?: Span, now?: Span, width = 0): number {
  if (box.bottom <= 0 || box.top >= innerHeight) return AWAY_MS;
  if (!shown || !now) return 0;
  const length = now.max - now.min;
  const moved = ((now.min - shown.min) / length) * width;
  const stretched = Math.abs(length / (shown.max - shown.min) - 1) * width;
  return moved > 0 && moved < STEP_PX && stretched < 0.5 ? STEP_MS : 0;
}
