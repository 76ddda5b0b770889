// SPDX-License-Identifier: Apache-2.0
// One animation-frame loop draws what changed, seen charts first, and stops for this frame after 8 ms.

export interface Drawable {
  draw(): void;
  visible(): boolean;
}

const BUDGET_MS = 8;
const dirty = new Set<Drawable>();
let frame = 0;

function run(): void {
  frame = 0;
  const started = performance.now();
  for (const item of dirty) {
    if (!item.visible()) continue;
    dirty.delete(item);
    item.draw();
    if (performance.now() - started > BUDGET_MS) break;
  }
  if ([...dirty].some((item) => item.visible())) frame = requestAnimationFrame(run);
}

export function schedule(item: Drawable): void {
  dirty.add(item);
  if (frame === 0) frame = requestAnimationFrame(run);
}

export function unschedule(item: Drawable): void {
  dirty.delete(item);
}
