// SPDX-License-Identifier: Apache-2.0

export interface Place {
  /** Step under the crosshair; -1 before the first move. */
  index: number;
  series: number;
}

/** Where a key moves the crosshair: along the steps, or to the next shown series. Null when the key means nothing here. */
export function moved(key: string, at: Place, steps: number, shown: readonly boolean[]): Place | null {
  const last = steps - 1;
  if (last < 0 || !shown.includes(true)) return null;
  const from = at.index < 0 ? last : Math.min(at.index, last);
  const seek = (start: number, by: number): number => {
    for (let k = 0, s = start; k < shown.length; k++, s += by) {
      const index = ((s % shown.length) + shown.length) % shown.length;
      if (shown[index]) return index;
    }
    return 0;
  };
  const series = seek(Math.min(at.series, shown.length - 1), 1);
  switch (key) {
    case 'ArrowLeft':
      return { index: at.index < 0 ? last : Math.max(0, from - 1), series };
    case 'ArrowRight':
      return { index: at.index < 0 ? last : Math.min(last, from + 1), series };
    case 'PageUp':
      return { index: Math.max(0, from - Math.max(1, Math.round(steps / 10))), series };
    case 'PageDown':
      return { index: Math.min(last, from + Math.max(1, Math.round(steps / 10))), series };
    case 'Home':
      return { index: 0, series };
    case 'End':
      return { index: last, series };
    case 'ArrowUp':
      return { index: from, series: seek(series - 1, -1) };
    case 'ArrowDown':
      return { index: from, series: seek(series + 1, 1) };
    default:
      return null;
  }
}
