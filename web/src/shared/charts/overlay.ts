// SPDX-License-Identifier: Apache-2.0
// The canvas above the plot: crosshair, markers and selection. Moving them never redraws a series.
import { themeTokens } from '../theme';

/** The plot in CSS pixels of the host. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Marker {
  x: number;
  y: number;
  colour: string;
}

/** A series' value at the crosshair. */
export interface SeriesMarker extends Marker {
  index: number;
}

/** A pointer this near to a line means that line. */
const NEAR_PX = 24;

/** The series whose line the pointer is at. */
export function nearestSeries(markers: readonly SeriesMarker[], y: number | undefined): number | null {
  if (y === undefined) return null;
  let best: number | null = null;
  let distance = NEAR_PX;
  for (const marker of markers)
    if (Math.abs(marker.y - y) < distance) {
      distance = Math.abs(marker.y - y);
      best = marker.index;
    }
  return best;
}

type Span = readonly [number, number];

export class Overlay {
  readonly canvas = document.createElement('canvas');
  private readonly g = this.canvas.getContext('2d');
  private ratio = 1;
  /** Columns drawn since the last clearing. */
  private dirty: Span | null = null;

  constructor(host: HTMLElement, className: string) {
    this.canvas.className = className;
    this.canvas.setAttribute('aria-hidden', 'true');
    host.append(this.canvas);
  }

  resize(width: number, height: number): void {
    this.ratio = Math.min(2, devicePixelRatio);
    const [w, h] = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    if (this.canvas.width === w && this.canvas.height === h) return;
    this.canvas.width = w;
    this.canvas.height = h;
    this.dirty = null;
  }

  /** Offsets are pixels from the left of the host; null leaves that part out. */
  draw(box: Box, crosshair: number | null, selection: Span | null, markers: readonly Marker[] = []): void {
    const { g, ratio } = this;
    if (!g) return;
    if (this.dirty) {
      const [a, b] = this.dirty;
      g.clearRect(Math.floor(a * ratio), 0, Math.ceil((b - a) * ratio), this.canvas.height);
      this.dirty = null;
    }
    if (crosshair === null && !selection) return;
    const tokens = themeTokens().component;
    g.save();
    g.scale(ratio, ratio);
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    if (selection) {
      const [a, b] = [Math.min(...selection), Math.max(...selection)];
      g.fillStyle = tokens.select;
      g.fillRect(a, box.top, b - a, box.height);
      g.fillStyle = themeTokens().semantic.accent;
      g.fillRect(a, box.top, 1, box.height);
      g.fillRect(b - 1, box.top, 1, box.height);
      [low, high] = [a, b];
    }
    if (crosshair !== null && crosshair >= box.left - 1 && crosshair <= box.left + box.width + 1) {
      const at = Math.round(crosshair * ratio) / ratio;
      g.fillStyle = tokens.crosshair;
      g.fillRect(at - 0.5, box.top, 1, box.height);
      [low, high] = [Math.min(low, at - 1), Math.max(high, at + 1)];
      for (const marker of markers) {
        if (marker.y < box.top - 4 || marker.y > box.top + box.height + 4) continue;
        g.beginPath();
        g.arc(marker.x, marker.y, 3.5, 0, 2 * Math.PI);
        g.fillStyle = marker.colour;
        g.fill();
        g.lineWidth = 1.5;
        g.strokeStyle = themeTokens().semantic.panel;
        g.stroke();
        [low, high] = [Math.min(low, marker.x - 6), Math.max(high, marker.x + 6)];
      }
    }
    g.restore();
    if (low <= high) this.dirty = [low - 2, high + 2];
  }

  destroy(): void {
    this.canvas.remove();
    // Frees the memory behind it at once.
    this.canvas.width = 0;
    this.canvas.height = 0;
  }
}
