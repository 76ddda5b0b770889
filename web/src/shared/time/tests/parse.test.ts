// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { parseFreeText } from '../parse';

const context = { nowMs: Date.UTC(2026, 10, 24, 12), zone: 'utc' };
const parse = (text: string) => parseFreeText(text, context);
const at = (...parts: [number, number, number, number?, number?]) =>
  String(Date.UTC(parts[0], parts[1], parts[2], parts[3] ?? 0, parts[4] ?? 0));
const around = (ms: number) => ({ from: String(ms - 900_000), to: String(ms + 900_000) });

describe('free text ranges', () => {
  it.each([
    ['2h', { from: 'now-2h', to: 'now' }],
    ['last 3 days', { from: 'now-3d', to: 'now' }],
    ['últimos 3 días', { from: 'now-3d', to: 'now' }],
    ['last week', { from: 'now-1w', to: 'now' }],
    ['30m', { from: 'now-30m', to: 'now' }],
    ['3M', { from: 'now-3M', to: 'now' }],
    ['now-6h', { from: 'now-6h', to: 'now' }],
    ['now-6h to now-5h', { from: 'now-6h', to: 'now-5h' }],
    ['yesterday', { from: 'now-1d/d', to: 'now-1d/d' }],
    ['hoy', { from: 'now/d', to: 'now/d' }],
    ['10:00 to 11:30', { from: at(2026, 10, 24, 10), to: at(2026, 10, 24, 11, 30) }],
    ['23:00 a 01:00', { from: at(2026, 10, 24, 23), to: at(2026, 10, 25, 1) }],
    ['2026-11-20', { from: at(2026, 10, 20), to: String(Date.UTC(2026, 10, 21) - 1) }],
    ['2026-11-20 to 2026-11-21', { from: at(2026, 10, 20), to: String(Date.UTC(2026, 10, 22) - 1) }],
    ['1795516325', around(1795516325000)],
    ['1795516325123', around(1795516325123)],
    ['1795516325123456789', around(1795516325123)],
    ['2026-11-24 09:15:02,123', around(Date.UTC(2026, 10, 24, 9, 15, 2, 123))],
    ['[24/Nov/2026:09:15:02 +0100]', around(Date.UTC(2026, 10, 24, 8, 15, 2))],
    ['Nov 24 09:15:02', around(Date.UTC(2026, 10, 24, 9, 15, 2))],
    ['{"from":"now-2d","to":"now-1d"}', { from: 'now-2d', to: 'now-1d' }],
    ['https://grafana.example/d/x/y?from=now-3h&to=now', { from: 'now-3h', to: 'now' }],
    [
      `https://g/explore?panes=${encodeURIComponent('{"a":{"range":{"from":"now-7h","to":"now"}}}')}`,
      { from: 'now-7h', to: 'now' },
    ],
  ])('%s', (text, expected) => {
    expect(parse(text)).toEqual(expected);
  });

  it.each(['', 'banana', '25:99', 'last', '{nope', '2026-02-31', '5 bananas'])('refuses %j', (text) => {
    expect(parse(text)).toBeNull();
  });
});
