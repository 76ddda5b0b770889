// SPDX-License-Identifier: Apache-2.0
// Traced lines of one chart, kept while the same data is drawn again at the same scale of time: while it is panned, and
// while the pointer changes which series stands out. The browser moves a path it has for a tenth of what a new one costs.
import type { ChartModel } from './model';
import type { Frame } from './painter';

/** How much beyond each edge is traced when the window moves, in windows. */
const MARGIN = 0.5;
/** Further from the height they were traced at, lines are traced anew: what was cut far outside could be seen. */
const MOST_STRETCH = 2;

export interface TracedSpan {
  /** Where and at which scale the paths are. */
  frame: Frame;
  /** First and last step that a path needs to hold. */
  steps: readonly [number, number];
  /** Width of what is traced, in windows. */
  windows: number;
}

export interface TracedLine {
  line: Path2D;
  /** The band between the line and zero. */
  band: Path2D | null;
}

interface Kept {
  model: ChartModel;
  connect: unknown;
  span: TracedSpan;
  lines: Map<number, TracedLine>;
}

const perMs = (frame: Frame) => frame.width / (frame.xMax - frame.xMin || 1);
const perUnit = (frame: Frame) => frame.height / (frame.yMax - frame.yMin || 1);
const near = (a: number, b: number) => Math.abs(a - b) <= 1e-9 * Math.abs(a);

export class LineCache {
  private last: { model: ChartModel; frame: Frame } | null = null;
  private kept: Kept | null = null;

  /**
   * Null when the lines are better drawn directly: what is drawn for the first time, at another scale, or where there are
   * no paths. `stepsOf` says which steps a span of time needs.
   */
  open(
    model: ChartModel,
    frame: Frame,
    connect: unknown,
    stepsOf: (min: number, max: number) => [number, number],
  ): OpenLines | null {
    const { last } = this;
    this.last = { model, frame };
    if (typeof Path2D === 'undefined' || last?.model !== model || !near(perMs(last.frame), perMs(frame))) {
      this.kept = null;
      return null;
    }
    // Stretched lines are good for a moment: once the height has settled they are traced for it.
    const settled = near(perUnit(last.frame), perUnit(frame));
    if (!this.kept || !this.serves(this.kept, model, frame, connect, stepsOf, settled)) {
      const moved = last.frame.xMin !== frame.xMin;
      const margin = moved ? (frame.xMax - frame.xMin) * MARGIN : 0;
      const steps = stepsOf(frame.xMin - margin, frame.xMax + margin);
      this.kept = { model, connect, span: { frame, steps, windows: moved ? 1 + 2 * MARGIN : 1 }, lines: new Map() };
    }
    return new OpenLines(this.kept.span, this.kept.lines, frame);
  }

  clear(): void {
    this.last = null;
    this.kept = null;
  }

  private serves(
    kept: Kept,
    model: ChartModel,
    frame: Frame,
    connect: unknown,
    stepsOf: (min: number, max: number) => [number, number],
    settled: boolean,
  ): boolean {
    const own = kept.span.frame;
    if (kept.model !== model || kept.connect !== connect || own.ratio !== frame.ratio) return false;
    if (own.width !== frame.width || own.height !== frame.height || !near(perMs(own), perMs(frame))) return false;
    const stretch = perUnit(frame) / perUnit(own);
    if (stretch > MOST_STRETCH || stretch < 1 / MOST_STRETCH || (settled && !near(stretch, 1))) return false;
    const [from, to] = stepsOf(frame.xMin, frame.xMax);
    return from >= kept.span.steps[0] && to <= kept.span.steps[1];
  }
}

export class OpenLines {
  private readonly matrix: Required<Pick<DOMMatrix2DInit, 'a' | 'b' | 'c' | 'd' | 'e' | 'f'>>;

  constructor(
    readonly span: TracedSpan,
    private readonly lines: Map<number, TracedLine>,
    frame: Frame,
  ) {
    const own = span.frame;
    const ratio = perUnit(frame) / perUnit(own);
    const stretch = near(ratio, 1) ? 1 : ratio;
    this.matrix = {
      a: 1,
      b: 0,
      c: 0,
      d: stretch,
      e: frame.left - own.left + (own.xMin - frame.xMin) * perMs(frame),
      // Where the top of the plot was is the value yMax of then.
      f: frame.top + (frame.yMax - own.yMax) * perUnit(frame) - own.top * stretch,
    };
  }

  /** The line of this series where it belongs now; `trace` makes it when it is not there yet. */
  line(index: number, trace: (span: TracedSpan) => TracedLine): TracedLine {
    let known = this.lines.get(index);
    if (!known) {
      known = trace(this.span);
      this.lines.set(index, known);
    }
    return { line: this.moved(known.line), band: known.band ? this.moved(known.band) : null };
  }

  /** Where the lines are to be drawn from: they lie there as they are unless the height changed. */
  get shift(): readonly [number, number] {
    return this.matrix.d === 1 ? [this.matrix.e, this.matrix.f] : [0, 0];
  }

  private moved(path: Path2D): Path2D {
    // A shift is the canvas' own business; stretched lines would get thicker with it.
    if (this.matrix.d === 1) return path;
    const out = new Path2D();
    out.addPath(path, this.matrix);
    return out;
  }
}
