// SPDX-License-Identifier: Apache-2.0

/** A query that makes sense of a metric of this type. */
export function suggestion(name: string, type: string | undefined): string {
  if (name.endsWith('_bucket')) return `histogram_quantile(0.95, sum by (le) (rate(${name}[5m])))`;
  if (type === 'histogram' && !/_(sum|count)$/.test(name)) return `histogram_quantile(0.95, rate(${name}[5m]))`;
  if (type === 'counter' || /_(total|sum|count)$/.test(name)) return `rate(${name}[5m])`;
  return name;
}

const regex = (name: string) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** One selector for several metrics. */
export function selectorOf(names: readonly string[]): string {
  return `{__name__=~${JSON.stringify(names.map(regex).join('|'))}}`;
}

const PLAIN = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** Newest sample of each metric as seconds since 1970, in one query; the label `metric` says whose it is. */
export function ageQuery(names: readonly string[]): string {
  return names
    .map((name) => {
      const series = PLAIN.test(name) ? name : `{${JSON.stringify(name)}}`;
      return `label_replace(max(timestamp(${series})), "metric", ${JSON.stringify(name.replaceAll('$', '$$$$'))}, "", "")`;
    })
    .join(' or ');
}

/** A counter is shown by what it gained in each step; after a reset, by what it has since. */
export function trendOf(values: Float64Array, counter: boolean): Float64Array {
  if (!counter) return values;
  const out = new Float64Array(values.length).fill(Number.NaN);
  for (let k = 1; k < values.length; k++) {
    const gained = (values[k] as number) - (values[k - 1] as number);
    out[k] = gained < 0 ? (values[k] as number) : gained;
  }
  return out;
}

/** An SVG path through the values, in a box of that size; gaps stay gaps. */
export function sparkPath(values: Float64Array, width: number, height: number): string {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const v of values) {
    if (v < min) min = v;
    if (v > max) max = v;
  }
  if (min > max) return '';
  const span = max - min;
  const y = (v: number) => (span === 0 ? height / 2 : height - 1 - ((v - min) / span) * (height - 2));
  let path = '';
  let pen = false;
  values.forEach((v, k) => {
    if (Number.isNaN(v)) pen = false;
    else {
      const x = values.length > 1 ? (k / (values.length - 1)) * width : 0;
      path += `${pen ? 'L' : 'M'}${x.toFixed(1)} ${y(v).toFixed(1)}`;
      pen = true;
    }
  });
  return path;
}
