// SPDX-License-Identifier: Apache-2.0
// Search parameters stay plain text, as in the links of Grafana and Prometheus; each route reads its own ones.

export type RawSearch = Record<string, string | string[]>;

export function parseSearch(text: string): RawSearch {
  const out: RawSearch = {};
  for (const [key, value] of new URLSearchParams(text)) {
    const previous = out[key];
    if (previous === undefined) out[key] = value;
    else if (Array.isArray(previous)) previous.push(value);
    else out[key] = [previous, value];
  }
  return out;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (value === undefined || value === null || value === '') continue;
    for (const item of Array.isArray(value) ? value : [value]) params.append(key, String(item));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

export function text(value: unknown): string | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  if (typeof first === 'number' || typeof first === 'boolean') return String(first);
  return typeof first === 'string' && first !== '' ? first : undefined;
}

export interface TimeSearch {
  from?: string | undefined;
  to?: string | undefined;
  timezone?: string | undefined;
  refresh?: string | undefined;
  compare?: string | undefined;
}

export function timeSearch(raw: Record<string, unknown>): TimeSearch {
  const out: TimeSearch = {};
  for (const key of ['from', 'to', 'timezone', 'refresh', 'compare'] as const) {
    const value = text(raw[key]);
    if (value !== undefined) out[key] = value;
  }
  return out;
}
