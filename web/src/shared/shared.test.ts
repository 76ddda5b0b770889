// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { parseBoot } from './api/boot';
import { distinguishingNames, seriesName } from './api/prom';
import { decodeError } from './api/request';
import { bind, handleKey, keyOf } from './keys/hotkeys';
import { prefs } from './prefs';
import { axisLabels, formatDuration, formatOffset, formatStamp } from './time/format';
import { formatValue, unitForExpression } from './units/format';

beforeEach(() => prefs.set((p) => ({ ...p, language: 'en', hour12: null, singleKeys: true })));

describe('boot and errors', () => {
  it('survives a missing or broken boot text', () => {
    expect(parseBoot(null).basePath).toBe('');
    expect(parseBoot('{"basePath":"/x","authMode":"required"}')).toMatchObject({
      basePath: '/x',
      authMode: 'required',
      product: 'Tocayo',
    });
    expect(parseBoot('nonsense').csrfHeader).toBe('X-Tocayo-Csrf');
  });
  it('reads both error shapes and plain text', () => {
    expect(decodeError(400, '{"status":"error","errorType":"bad_data","error":"1:1: no"}', null)).toMatchObject({
      code: 'bad_data',
      message: '1:1: no',
    });
    expect(decodeError(409, '{"code":"conflict","message":"taken","params":{"name":"x"}}', 'r1')).toMatchObject({
      code: 'conflict',
      requestId: 'r1',
      params: { name: 'x' },
    });
    expect(decodeError(502, '<html>', null)).toMatchObject({ code: 'http_502', message: '<html>' });
  });
});

describe('series names', () => {
  it('are what Prometheus prints', () => {
    expect(seriesName({ __name__: 'up', job: 'a', instance: 'b' })).toBe('up{instance="b", job="a"}');
    expect(seriesName({})).toBe('{}');
    expect(
      distinguishingNames([
        { __name__: 'up', job: 'a', z: '1' },
        { __name__: 'up', job: 'b', z: '1' },
      ]),
    ).toEqual(['{job="a"}', '{job="b"}']);
  });
});

describe('values and times', () => {
  it.each([
    [0, 'bytes', '0 B'],
    [1536, 'bytes', '1.5 KiB'],
    [1.234e9, 'bytes', '1.15 GiB'],
    [2048, 'bytesPerSecond', '2 KiB/s'],
    [0.1234, 'percentunit', '12.3 %'],
    [0.00123, 'seconds', '1.23 ms'],
    [12, 'seconds', '12 s'],
    [1234, 'perSecond', '1.23 K/s'],
    [1234567, 'count', '1,234,567'],
    [Number.NaN, 'short', '–'],
    [Number.POSITIVE_INFINITY, 'short', '+∞'],
  ] as const)('%d as %s is %s', (value, unit, text) => {
    expect(formatValue(value, unit)).toBe(text);
  });
  it('guesses units', () => {
    expect(unitForExpression('rate(node_disk_read_bytes_total[5m])')).toBe('bytesPerSecond');
    expect(unitForExpression('process_resident_memory_bytes')).toBe('bytes');
    expect(unitForExpression('histogram_quantile(0.9, rate(x_seconds_bucket[5m]))')).toBe('seconds');
    expect(unitForExpression('up')).toBe('short');
  });
  it('speaks of time', () => {
    expect(formatStamp(Date.UTC(2026, 10, 24, 9, 5, 3, 7), 'utc', true)).toBe('2026-11-24 09:05:03.007');
    expect(formatStamp(Date.UTC(2026, 10, 24, 9, 5, 3), 'Asia/Kathmandu')).toBe('2026-11-24 14:50:03');
    expect([0.4, 59, 61, 3600, 90_061].map(formatDuration)).toEqual(['0.4 s', '59 s', '1 min 1 s', '1 h', '1 d 1 h']);
    expect([3_600_000, -12_600_000, 0].map(formatOffset)).toEqual(['UTC+01:00', 'UTC−03:30', 'UTC+00:00']);
    const day = Date.UTC(2026, 10, 24);
    expect(axisLabels([day - 3_600_000, day, day + 3_600_000], 3_600_000, 'utc')).toEqual(['23:00', 'Nov 24', '01:00']);
  });
});

describe('keys', () => {
  const press = (key: string, extra: Partial<KeyboardEventInit> = {}, target: EventTarget = document.body) => {
    const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...extra });
    Object.defineProperty(event, 'target', { value: target });
    handleKey(event);
    return event;
  };
  it('runs sequences, not while typing, not when switched off', () => {
    const run = vi.fn();
    const off = bind('g h', run);
    press('g');
    press('h');
    expect(run).toHaveBeenCalledTimes(1);
    press('g', {}, document.createElement('input'));
    press('h');
    expect(run).toHaveBeenCalledTimes(1);
    prefs.set((p) => ({ ...p, singleKeys: false }));
    press('g');
    press('h');
    expect(run).toHaveBeenCalledTimes(1);
    off();
  });
  it('lets Ctrl-K through anywhere and prefers the newest binding', () => {
    const [old, fresh] = [vi.fn(), vi.fn()];
    const offs = [bind('mod+k', old), bind('mod+k', fresh)];
    expect(press('k', { ctrlKey: true }, document.createElement('textarea')).defaultPrevented).toBe(true);
    expect(old).not.toHaveBeenCalled();
    expect(fresh).toHaveBeenCalledTimes(1);
    for (const off of offs) off();
    expect(keyOf({ key: 'ArrowLeft', altKey: true, ctrlKey: false, metaKey: false, shiftKey: false })).toBe('alt+left');
  });
});
