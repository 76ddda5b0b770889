// SPDX-License-Identifier: Apache-2.0
// Moves on a chart that uPlot does not know: Shift-drag pans, two fingers zoom, one finger reads values.
import type uPlot from 'uplot';
import type { Range } from '../time/range';

interface Target {
  plot(): uPlot | null;
  zoom(range: Range): void;
}

const SHORTEST_MS = 1000;

/** Range after the points `a` and `b` (pixels) of `min..max` over `width` moved to `a2` and `b2`. */
export function pinched(
  min: number,
  max: number,
  width: number,
  from: [number, number],
  to: [number, number],
): Range | null {
  const perPixel = (max - min) / width;
  const [v1, v2] = [min + from[0] * perPixel, min + from[1] * perPixel];
  if (Math.abs(to[1] - to[0]) < 8 || Math.abs(from[1] - from[0]) < 8) return null;
  const scale = (v2 - v1) / (to[1] - to[0]);
  if (!(scale > 0)) return null;
  const fromMs = Math.round(v1 - to[0] * scale);
  const toMs = Math.round(fromMs + width * scale);
  return toMs - fromMs >= SHORTEST_MS ? { fromMs, toMs } : null;
}

function span(plot: uPlot): { min: number; max: number; width: number; left: number } {
  const box = plot.over.getBoundingClientRect();
  return { min: plot.scales.x?.min ?? 0, max: plot.scales.x?.max ?? 1, width: box.width, left: box.left };
}

/** Attaches to the chart's element; returns what detaches again. */
export function attachGestures(host: HTMLElement, target: Target): () => void {
  let pan: { x: number; min: number; max: number; width: number } | null = null;
  let pinch: { from: [number, number]; to: [number, number] } | null = null;

  const shiftDown = (event: MouseEvent) => {
    const plot = target.plot();
    if (!event.shiftKey || event.button !== 0 || !plot || !plot.over.contains(event.target as Node)) return;
    event.preventDefault();
    event.stopPropagation();
    pan = { x: event.clientX, ...span(plot) };
  };
  const move = (event: MouseEvent) => {
    const plot = target.plot();
    if (!pan || !plot) return;
    const by = ((pan.x - event.clientX) / pan.width) * (pan.max - pan.min);
    plot.setScale('x', { min: pan.min + by, max: pan.max + by });
  };
  const up = () => {
    const plot = target.plot();
    if (pan && plot) {
      const { min, max } = span(plot);
      if (min !== pan.min) target.zoom({ fromMs: Math.round(min), toMs: Math.round(max) });
    }
    pan = null;
  };

  const fingers = (event: TouchEvent, left: number): [number, number] => {
    const xs = [...event.touches].slice(0, 2).map((touch) => touch.clientX - left);
    return [Math.min(...xs), Math.max(...xs)];
  };
  const touch = (event: TouchEvent) => {
    const plot = target.plot();
    if (!plot) return;
    const { left } = span(plot);
    if (event.touches.length === 2) {
      event.preventDefault();
      const now = fingers(event, left);
      pinch = pinch ? { ...pinch, to: now } : { from: now, to: now };
      return;
    }
    const finger = event.touches[0];
    if (finger && !pinch) {
      const box = plot.over.getBoundingClientRect();
      plot.setCursor({ left: finger.clientX - box.left, top: finger.clientY - box.top });
    }
  };
  const touchEnd = (event: TouchEvent) => {
    const plot = target.plot();
    if (!pinch || event.touches.length > 0) return;
    if (plot) {
      const { min, max, width } = span(plot);
      const range = pinched(min, max, width, pinch.from, pinch.to);
      if (range) target.zoom(range);
    }
    pinch = null;
  };

  host.addEventListener('mousedown', shiftDown, { capture: true });
  window.addEventListener('mousemove', move);
  window.addEventListener('mouseup', up);
  host.addEventListener('touchstart', touch, { passive: false });
  host.addEventListener('touchmove', touch, { passive: false });
  host.addEventListener('touchend', touchEnd);
  return () => {
    host.removeEventListener('mousedown', shiftDown, { capture: true });
    window.removeEventListener('mousemove', move);
    window.removeEventListener('mouseup', up);
    host.removeEventListener('touchstart', touch);
    host.removeEventListener('touchmove', touch);
    host.removeEventListener('touchend', touchEnd);
  };
}
