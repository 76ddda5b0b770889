// SPDX-License-Identifier: Apache-2.0
import type { RangeFrame } from '@/shared/frames/matrix';

const field = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** One row per step, one column per series; empty where there is no value. Times are ISO 8601 in UTC (RFC 4180 text). */
export function toCsv(frame: RangeFrame, name: (labels: Record<string, string>) => string): string {
  const lines = [['time', ...frame.columns.map((c) => name(c.labels))].map(field).join(',')];
  const count = Math.max(0, ...frame.columns.map((c) => c.values.length));
  for (let k = 0; k < count; k++) {
    const values = frame.columns.map((c) => {
      const value = c.values[k];
      return value === undefined || Number.isNaN(value) ? '' : String(value);
    });
    lines.push([new Date(frame.startMs + k * frame.stepMs).toISOString(), ...values].join(','));
  }
  return `${lines.join('\r\n')}\r\n`;
}
