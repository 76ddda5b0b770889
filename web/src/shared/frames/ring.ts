// SPDX-License-Identifier: Apache-2.0
// Live columns on a step grid: a window moves through memory of fixed size, so a page left open for a day holds what it
// held after a minute. Each column is twice the window; when the window reaches the end, it is copied back to the start.

export class MovingWindow {
  /** Steps in the window. */
  readonly capacity: number;
  private readonly times: Float64Array;
  private readonly columns = new Set<Float64Array>();
  private start = 0;
  private used = 0;

  constructor(
    capacity: number,
    readonly stepMs: number,
  ) {
    this.capacity = Math.max(1, Math.floor(capacity));
    this.times = new Float64Array(this.capacity * 2);
  }

  /** A new column, gaps all over. It belongs to the window until `drop`. */
  column(): Float64Array {
    const column = new Float64Array(this.capacity * 2).fill(Number.NaN);
    this.columns.add(column);
    return column;
  }

  drop(column: Float64Array): void {
    this.columns.delete(column);
  }

  get length(): number {
    return this.used;
  }

  /** Newest step, or 0. */
  get latest(): number {
    return this.used === 0 ? 0 : (this.times[this.start + this.used - 1] as number);
  }

  /** Where a value of that time goes, moving the window on when it is newer; -1 when it is older than the window. */
  slot(timeMs: number): number {
    const step = Math.round(timeMs / this.stepMs) * this.stepMs;
    if (this.used === 0) this.push(step);
    const ahead = Math.round((step - this.latest) / this.stepMs);
    if (ahead > this.capacity) {
      // Nothing of the old window is left in the new one.
      this.clear();
      this.push(step);
    } else for (let k = ahead; k > 0; k--) this.push(this.latest + this.stepMs);
    if (ahead >= 0) return this.start + this.used - 1;
    const back = this.start + this.used - 1 + ahead;
    return back >= this.start ? back : this.before(back, step);
  }

  /** Steps older than the first one: there is room while the window is not full. */
  private before(back: number, step: number): number {
    const missing = this.start - back;
    if (this.used + missing > this.capacity) return -1;
    this.shift(missing);
    for (let k = 0; k < missing; k++) this.times[this.start + k] = step + k * this.stepMs;
    for (const column of this.columns) column.fill(Number.NaN, this.start, this.start + missing);
    return this.start;
  }

  private shift(by: number): void {
    const to = by;
    for (const column of [this.times, ...this.columns]) column.copyWithin(to, this.start, this.start + this.used);
    this.start = 0;
    this.used += by;
  }

  private clear(): void {
    this.start = 0;
    this.used = 0;
  }

  private push(time: number): void {
    if (this.used === this.capacity) {
      this.start += 1;
      this.used -= 1;
    }
    if (this.start + this.used === this.times.length) {
      for (const column of [this.times, ...this.columns]) column.copyWithin(0, this.start, this.start + this.used);
      this.start = 0;
    }
    const at = this.start + this.used;
    this.times[at] = time;
    for (const column of this.columns) column[at] = Number.NaN;
    this.used += 1;
  }

  /** Views into the memory, valid until the next `slot`. Only the steps from `fromMs` on. */
  view(column: Float64Array, fromMs = Number.NEGATIVE_INFINITY): Float64Array {
    const skip = this.skipped(fromMs);
    return column.subarray(this.start + skip, this.start + this.used);
  }

  viewTimes(fromMs = Number.NEGATIVE_INFINITY): Float64Array {
    return this.view(this.times, fromMs);
  }

  private skipped(fromMs: number): number {
    if (this.used === 0) return 0;
    const first = this.times[this.start] as number;
    return Math.min(this.used, Math.max(0, Math.ceil((fromMs - first) / this.stepMs)));
  }
}
