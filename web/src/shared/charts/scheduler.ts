// SPDX-License-Identifier: Apache-2.0
// One animation-frame loop draws what changed, nearest to the middle of the screen first, and stops for this frame after
// 8 ms: what is left is drawn in the next one.

export interface Drawable {
  draw(): void;
  visible(): boolean;
  /** Pixels between its middle and the middle of the screen; charts at equal distance are drawn as they came. */
  distance?(): number;
}

export const BUDGET_MS = 8;
const dirty = new Set<Drawable>();
let frame = 0;

function run(): void {
  frame = 0;
  const started = performance.now();
  const due = [...dirty].filter((item) => item.visible());
  if (due.length > 1) {
    const far = new Map(due.map((item) => [item, item.distance?.() ?? 0]));
    due.sort((a, b) => (far.get(a) ?? 0) - (far.get(b) ?? 0));
  }
  let done = 0;
  for (const item of due) {
    dirty.delete(item);
    item.draw();
    done += 1;
    if (performance.now() - started > BUDGET_MS) break;
  }
  if (done < due.length || [...dirty].some((item) => item.visible())) frame ||= requestAnimationFrame(run);
}

export function schedule(item: Drawable): void {
  dirty.add(item);
  if (frame === 0) frame = requestAnimationFrame(run);
}

export function unschedule(item: Drawable): void {
  dirty.delete(item);
}
