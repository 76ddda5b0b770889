// SPDX-License-Identifier: Apache-2.0
// One animation-frame loop draws what changed, nearest to the middle of the screen first, and stops for this frame before
// 8 ms are over: what is left comes first in the next one. Live charts change all the time: if the nearest always came
// first, a machine that cannot draw all of them in a frame would never draw those at the edge. What is worth little (a chart
// beyond the edge, a step of a pixel) may wait for more.

export interface Drawable {
  draw(): void;
  visible(): boolean;
  /** Pixels between its middle and the middle of the screen; charts at equal distance are drawn as they came. */
  distance?(): number;
  /** For how long, in milliseconds, the picture drawn last is still good enough; without it, not at all. */
  patience?(): number;
}

/** Of the 8 ms: what one drawing may take longer than it did of late comes on top. */
export const BUDGET_MS = 6;
/** So often those that wait are looked at: one may have been scrolled to. */
export const LOOK_MS = 250;
/** What is to be drawn, and for how many frames it has waited since. */
const dirty = new Map<Drawable, number>();
/** What a drawing costs: the mean of late, by drawable. */
const costs = new WeakMap<Drawable, number>();
const drawnAt = new WeakMap<Drawable, number>();
let frame = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** How much longer it may wait. */
function leisure(item: Drawable, now: number): number {
  const drawn = drawnAt.get(item);
  return drawn === undefined ? 0 : Math.max(0, drawn + (item.patience?.() ?? 0) - now);
}

function timed(item: Drawable): void {
  const before = performance.now();
  item.draw();
  const after = performance.now();
  const cost = after - before;
  drawnAt.set(item, after);
  costs.set(item, 0.7 * (costs.get(item) ?? cost) + 0.3 * cost);
}

function run(): void {
  frame = 0;
  const started = performance.now();
  let soonest = Number.POSITIVE_INFINITY;
  const due = [...dirty.keys()].filter((item) => {
    if (!item.visible()) return false;
    const wait = leisure(item, started);
    if (wait > 0) soonest = Math.min(soonest, wait);
    return wait === 0;
  });
  if (due.length > 1) {
    const far = new Map(due.map((item) => [item, item.distance?.() ?? 0]));
    const waited = (item: Drawable) => dirty.get(item) ?? 0;
    due.sort((a, b) => waited(b) - waited(a) || (far.get(a) ?? 0) - (far.get(b) ?? 0));
  }
  let done = 0;
  for (const item of due) {
    // The first one is drawn whatever it costs: a frame without any would never end.
    if (done > 0 && performance.now() - started + (costs.get(item) ?? 0) > BUDGET_MS) break;
    dirty.delete(item);
    timed(item);
    done += 1;
  }
  for (const item of due.slice(done)) dirty.set(item, (dirty.get(item) ?? 0) + 1);
  if (done < due.length) frame ||= requestAnimationFrame(run);
  else if (soonest < Number.POSITIVE_INFINITY) {
    clearTimeout(timer);
    timer = setTimeout(
      () => {
        frame ||= requestAnimationFrame(run);
      },
      Math.min(soonest, LOOK_MS),
    );
  }
}

export function schedule(item: Drawable): void {
  if (!dirty.has(item)) dirty.set(item, 0);
  if (frame === 0) frame = requestAnimationFrame(run);
}

export function unschedule(item: Drawable): void {
  dirty.delete(item);
}
