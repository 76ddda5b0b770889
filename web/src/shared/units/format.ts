// SPDX-License-Identifier: Apache-2.0
// Values with units for axes, legends and tiles. Raw query results are never passed through here: they stay text.
import { prefs } from '../prefs';

export type Unit = 'short' | 'bytes' | 'bytesPerSecond' | 'percentunit' | 'seconds' | 'perSecond' | 'count';

const formats = new Map<string, Intl.NumberFormat>();

/** A number in the reader's language. Making a format costs a hundred times what using it does. */
export function number(value: number, digits: number): string {
  const { language } = prefs.get();
  const key = `${language}|${digits}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(language, { maximumFractionDigits: digits, useGrouping: true });
    formats.set(key, format);
  }
  return format.format(value);
}

function significant(value: number): number {
  const abs = Math.abs(value);
  if (abs >= 100 || abs === 0) return 0;
  if (abs >= 10) return 1;
  if (abs >= 1) return 2;
  return Math.min(12, 2 - Math.floor(Math.log10(abs)));
}

function scaled(value: number, base: number, names: readonly string[], tail = ''): string {
  let index = 0;
  let rest = value;
  while (Math.abs(rest) >= base && index < names.length - 1) {
    rest /= base;
    index += 1;
  }
  const name = `${names[index] ?? ''}${tail}`;
  return name === '' ? number(rest, significant(rest)) : `${number(rest, significant(rest))} ${name}`;
}

const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
const SI = ['', 'K', 'Mil', 'Bil', 'Tri'];

export function formatValue(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '+∞' : '−∞';
  switch (unit) {
    case 'bytes':
      return scaled(value, 1024, IEC);
    case 'bytesPerSecond':
      return scaled(value, 1024, IEC, '/s');
    case 'percentunit': {
      const percent = value * 100;
      return `${number(percent, Math.abs(percent) >= 10 ? 1 : 2)} %`;
    }
    case 'seconds':
      if (value === 0) return '0 s';
      if (Math.abs(value) < 1e-3) return `${number(value * 1e6, 1)} µs`;
      if (Math.abs(value) < 1) return `${number(value * 1e3, significant(value * 1e3))} ms`;
      return `${number(value, significant(value))} s`;
    case 'perSecond':
      return `${scaled(value, 1000, SI)}/s`;
    case 'count':
      return number(value, 0);
    default:
      return scaled(value, 1000, SI);
  }
}

/** Unit guessed from Prometheus' naming rules, for axes in Explore. */
export function unitForExpression(expr: string): Unit {
  const rate = /\b(rate|irate)\s*\(/.test(expr);
  if (/histogram_quantile|_seconds\b/.test(expr) && !rate) return 'seconds';
  if (/histogram_quantile/.test(expr) && /_seconds_/.test(expr)) return 'seconds';
  if (/_bytes(_total)?\b/.test(expr) && !/\/|\bcount\b/.test(expr)) return rate ? 'bytesPerSecond' : 'bytes';
  if (/_ratio\b/.test(expr)) return 'percentunit';
  return 'short';
}
