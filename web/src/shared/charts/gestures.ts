// SPDX-License-Identifier: Apache-2.0
// Pointer, wheel and touch on a chart: drag zooms, Shift-drag pans, double click zooms out, Ctrl-wheel zooms at the cursor,
// two fingers zoom, one finger reads values, a click or a tap pins.
import type { Range } from '../time/range';
import type { Box } from './overlay';

export interface GestureTarget {
  /** The plot within the host, and the span that it shows; null while nothing is drawn. */
  view(): { box: Box; min: number; max: number } | null;
  canZoom(): boolean;
  zoom(range: Range): void;
  zoomOut(): void;
  /** Shows another span until the next data or null. */
  preview(span: { min: number; max: number } | null): void;
  /** Pixels within the host; null when the pointer left. */
  point(at: { x: number; y: number } | null): void;
  mark(span: readonly [number, number] | null): void;
  pin(): void;
}

const SHORTEST_MS = 1000;
const DRAG_PX = 4;
const TAP_PX = 10;
const WHEEL = 0.6;

/** Range after the points `a` and `b` (pixels) of `min..max` over `width` moved to `a2` and `b2`. */
export function pinched(
  min: number,
  max: number,
  width: number,
  from: readonly [number, number],
  to: readonly [number, number],
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

/** Range after one turn of the wheel at the time `at`. */
export function wheeled(min: number, max: number, at: number, towards: boolean): Range | null {
  const factor = towards ? WHEEL : 1 / WHEEL;
  const range = { fromMs: Math.round(at - (at - min) * factor), toMs: Math.round(at + (max - at) * factor) };
  return range.toMs - range.fromMs >= SHORTEST_MS ? range : null;
}

type Drag = { kind: 'zoom' | 'pan'; x: number; min: number; max: number; box: Box; moved: boolean };

/** Attaches to the chart's element; returns what detaches again. */
export function attachGestures(host: HTMLElement, target: GestureTarget): () => void {
  let drag: Drag | null = null;
  let pinch: { from: [number, number]; to: [number, number] } | null = null;

  const inHost = (event: { clientX: number; clientY: number }) => {
    const rect = host.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  };
  const inside = ({ x, y }: { x: number; y: number }, box: Box) =>
    x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;
  const clamp = (x: number, box: Box) => Math.min(box.left + box.width, Math.max(box.left, x));
  const timeAt = (x: number, d: Pick<Drag, 'box' | 'min' | 'max'>) =>
    d.min + ((x - d.box.left) / d.box.width) * (d.max - d.min);

  const down = (event: PointerEvent) => {
    const view = target.view();
    const at = inHost(event);
    if (event.pointerType === 'touch' || event.button !== 0 || !view || !inside(at, view.box)) return;
    // Keeps the text around from being selected while dragging; focus still moves here.
    event.preventDefault();
    host.focus({ preventScroll: true });
    const kind = event.shiftKey ? 'pan' : 'zoom';
    drag = { kind, x: at.x, ...view, moved: false };
  };
  const move = (event: PointerEvent) => {
    if (event.pointerType === 'touch') return;
    const at = inHost(event);
    if (drag) {
      if (Math.abs(at.x - drag.x) >= DRAG_PX) drag.moved = true;
      if (!drag.moved || !target.canZoom()) return;
      if (drag.kind === 'pan') {
        const by = timeAt(drag.x, drag) - timeAt(at.x, drag);
        target.preview({ min: drag.min + by, max: drag.max + by });
      } else target.mark([timeAt(drag.x, drag), timeAt(clamp(at.x, drag.box), drag)]);
      return;
    }
    if (!host.contains(event.target as Node)) return;
    const view = target.view();
    target.point(view && inside(at, view.box) ? at : null);
  };
  const up = (event: PointerEvent) => {
    const done = drag;
    drag = null;
    if (!done || event.pointerType === 'touch') return;
    target.mark(null);
    if (!done.moved) {
      if (done.kind === 'zoom') target.pin();
      return;
    }
    if (!target.canZoom()) return;
    const at = inHost(event);
    if (done.kind === 'pan') {
      const by = timeAt(done.x, done) - timeAt(at.x, done);
      target.zoom({ fromMs: Math.round(done.min + by), toMs: Math.round(done.max + by) });
      return;
    }
    const ends = [timeAt(done.x, done), timeAt(clamp(at.x, done.box), done)].sort((a, b) => a - b) as [number, number];
    if (ends[1] - ends[0] >= SHORTEST_MS) target.zoom({ fromMs: Math.round(ends[0]), toMs: Math.round(ends[1]) });
  };
  const cancel = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !drag) return;
    drag = null;
    target.mark(null);
    target.preview(null);
  };
  const leave = (event: PointerEvent) => {
    if (!drag && event.pointerType !== 'touch') target.point(null);
  };
  const twice = (event: MouseEvent) => {
    const view = target.view();
    if (!view || !target.canZoom() || !inside(inHost(event), view.box)) return;
    event.preventDefault();
    target.zoomOut();
  };
  const wheel = (event: WheelEvent) => {
    const view = target.view();
    if (!event.ctrlKey || !view || !target.canZoom()) return;
    event.preventDefault();
    const range = wheeled(view.min, view.max, timeAt(inHost(event).x, view), event.deltaY < 0);
    if (range) target.zoom(range);
  };

  const fingers = (event: TouchEvent, left: number): [number, number] => {
    const xs = [...event.touches].slice(0, 2).map((touch) => inHost(touch).x - left);
    return [Math.min(...xs), Math.max(...xs)];
  };
  const touch = (event: TouchEvent) => {
    const view = target.view();
    if (!view) return;
    if (event.touches.length === 2 && target.canZoom()) {
      event.preventDefault();
      const now = fingers(event, view.box.left);
      pinch = pinch ? { ...pinch, to: now } : { from: now, to: now };
      if (event.type === 'touchstart') pinchStart = view;
      const range = pinchStart && pinched(pinchStart.min, pinchStart.max, view.box.width, pinch.from, pinch.to);
      if (range) target.preview({ min: range.fromMs, max: range.toMs });
      return;
    }
    const finger = event.touches[0];
    if (!finger || pinch) return;
    const at = inHost(finger);
    if (event.type === 'touchstart') tap = at;
    else if (tap && Math.hypot(at.x - tap.x, at.y - tap.y) > TAP_PX) tap = null;
    target.point(inside(at, view.box) ? at : null);
  };
  let pinchStart: { box: Box; min: number; max: number } | null = null;
  let tap: { x: number; y: number } | null = null;
  const touchEnd = (event: TouchEvent) => {
    if (event.touches.length > 0) return;
    if (!pinch) {
      // A tap holds the values, a finger that moved has read them.
      if (tap) target.pin();
      else target.point(null);
      tap = null;
      return;
    }
    const start = pinchStart;
    const range = start && pinched(start.min, start.max, start.box.width, pinch.from, pinch.to);
    if (range) target.zoom(range);
    else target.preview(null);
    pinch = null;
    pinchStart = null;
  };

  host.addEventListener('pointerdown', down);
  window.addEventListener('pointermove', move);
  window.addEventListener('pointerup', up);
  window.addEventListener('keydown', cancel);
  host.addEventListener('pointerleave', leave);
  host.addEventListener('dblclick', twice);
  host.addEventListener('wheel', wheel, { passive: false });
  host.addEventListener('touchstart', touch, { passive: false });
  host.addEventListener('touchmove', touch, { passive: false });
  host.addEventListener('touchend', touchEnd);
  host.addEventListener('touchcancel', touchEnd);
  return () => {
    host.removeEventListener('pointerdown', down);
    window.removeEventListener('pointermove', move);
    window.removeEventListener('pointerup', up);
    window.removeEventListener('keydown', cancel);
    host.removeEventListener('pointerleave', leave);
    host.removeEventListener('dblclick', twice);
    host.removeEventListener('wheel', wheel);
    host.removeEventListener('touchstart', touch);
    host.removeEventListener('touchmove', touch);
    host.removeEventListener('touchend', touchEnd);
    host.removeEventListener('touchcancel', touchEnd);
  };
}
