// SPDX-License-Identifier: Apache-2.0
// Times every animation-frame callback. Must be loaded before anything that draws.

export interface FrameLog {
  /** Milliseconds of the page's own thread in each frame that did something. */
  busy: number[];
  frames: number;
  startedAt: number;
}

let log: FrameLog = { busy: [], frames: 0, startedAt: performance.now() };
const original = window.requestAnimationFrame.bind(window);
let current = -1;
let spent = 0;

window.requestAnimationFrame = (callback) =>
  original((time) => {
    if (time !== current) {
      if (spent > 0) log.busy.push(spent);
      spent = 0;
      current = time;
      log.frames += 1;
    }
    const before = performance.now();
    callback(time);
    spent += performance.now() - before;
  });

export function startLog(): void {
  spent = 0;
  log = { busy: [], frames: 0, startedAt: performance.now() };
}

export function takeLog(): { p50: number; p95: number; max: number; fps: number } {
  const sorted = [...log.busy].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const seconds = (performance.now() - log.startedAt) / 1000;
  return { p50: at(0.5), p95: at(0.95), max: at(1), fps: log.frames / seconds };
}

export const nextFrame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
