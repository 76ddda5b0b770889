// SPDX-License-Identifier: Apache-2.0
// One animation-frame loop draws what changed, nearest to the middle of the screen first, and stops for this frame before
// 8 ms are over: what is left comes first in the next one. Live charts change all the time: if the nearest always came
// first, a machine that cannot draw all of them in a frame would never draw those at the edge.

export interface Drawable {
  draw(): void;
  visible(): boolean;
  /** Pixels between its middle and the middle of the screen; charts at equal distance are drawn as they came. */
  distance?(): number;
}

/** Of the 8 ms: what one drawing may take longer than it did of late comes on top. */
export const BUDGET_MS = 6;
/** What is to be drawn, and for how many frames it has waited since. */
const dirty = new Map<Drawable, number>();
/** What a drawing costs: the mean of late, by drawable. */
const costs = new WeakMap<Drawable, number>();
let frame = 0;

function timed(item: Drawable): void {
  const before = performance.now();
  item.draw();
  const cost = performance.now() - before;
  costs.set(item, 0.7 * (costs.get(item) ?? cost) + 0.3 * cost);
}

function run(): void {
  frame = 0;
  const started = performance.now();
  const due = [...dirty.keys()].filter((item) => item.visible());
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
  if (done < due.length || [...dirty.keys()].some((item) => item.visible())) frame ||= requestAnimationFrame(run);
}

export function schedule(item: Drawable): void {
  if (!dirty.has(item)) dirty.set(item, 0);
  if (frame === 0) frame = requestAnimationFrame(run);
}

export function unschedule(item: Drawable): void {
  dirty.delete(item);
}
