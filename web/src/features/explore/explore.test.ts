// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { toCsv } from './csv';
import { caretLines, splitPosition } from './errors';
import { serverStats } from './instant';
import { legendName } from './legend';
import { withMatcher } from './matchers';
import { ageQuery, selectorOf, sparkPath, suggestion, trendOf } from './metricHelp';
import { buildTree, countExpr, promDuration } from './promAst';

describe('server errors', () => {
  it('finds the place', () => {
    expect(splitPosition('1:5: parse error: unexpected ")"')).toEqual({
      position: { line: 1, column: 5 },
      text: 'parse error: unexpected ")"',
    });
    expect(splitPosition('invalid parameter "query": 2:1: parse error: x').position).toEqual({ line: 2, column: 1 });
    expect(splitPosition('query timed out')).toEqual({ position: null, text: 'query timed out' });
    expect(caretLines('a\nsum(b))', { line: 2, column: 7 })).toEqual(['sum(b))', '      ^']);
  });
});

describe('legend names', () => {
  it('fills templates and falls back to the whole name', () => {
    expect(legendName('{{job}} / {{ missing }}', 'x')({ job: 'node' })).toBe('node / ');
    expect(legendName('__auto', 'sum(x)')({})).toBe('sum(x)');
    expect(legendName('__auto', 'x')({ __name__: 'up', job: 'a"b' })).toBe('up{job="a\\"b"}');
  });
});

describe('query tree', () => {
  const selector = {
    type: 'vectorSelector',
    name: 'up',
    offset: 60_000,
    matchers: [
      { type: '=', name: '__name__', value: 'up' },
      { type: '=~', name: 'job', value: 'a|b' },
    ],
    timestamp: null,
    startOrEnd: 'end',
  };
  const matrix = {
    type: 'matrixSelector',
    name: 'http_total',
    range: 300_000,
    offset: 0,
    matchers: [],
    timestamp: null,
    startOrEnd: null,
  };
  const call = { type: 'call', func: { name: 'rate' }, args: [matrix] };
  it('writes PromQL again', () => {
    expect(buildTree(selector).expr).toBe('up{job=~"a|b"} @ end() offset 1m');
    expect(buildTree(call).expr).toBe('rate(http_total[5m])');
    expect(
      buildTree({
        type: 'aggregation',
        op: 'topk',
        grouping: ['job'],
        without: false,
        param: { type: 'numberLiteral', val: '3' },
        expr: call,
      }).expr,
    ).toBe('topk by (job) (3, rate(http_total[5m]))');
    const binary = {
      type: 'binaryExpr',
      op: '/',
      lhs: call,
      rhs: { type: 'parenExpr', expr: selector },
      bool: false,
      matching: { card: 'many-to-one', labels: ['job'], on: true, include: ['x'] },
    };
    expect(buildTree(binary).expr).toBe(
      'rate(http_total[5m]) / on (job) group_left (x) (up{job=~"a|b"} @ end() offset 1m)',
    );
    expect(buildTree({ type: 'subquery', expr: call, range: 3_600_000, step: 60_000, offset: 0 }).expr).toBe(
      'rate(http_total[5m])[1h:1m]',
    );
    expect(buildTree({ type: 'unaryExpr', op: '-', expr: selector }).head).toBe('-');
    expect(buildTree({ type: 'vectorSelector', name: 'odd name', matchers: [] }).expr).toBe('{"odd name"}');
    expect(buildTree(null).expr).toBe('?');
  });
  it('counts what can be counted', () => {
    expect(countExpr(buildTree(matrix))).toBe('count(last_over_time(http_total[5m]))');
    expect(countExpr(buildTree(call))).toBe('count(rate(http_total[5m]))');
    expect(countExpr(buildTree({ type: 'numberLiteral', val: '1' }))).toBeNull();
    expect(promDuration(90_061_001)).toBe('1d1h1m1s1ms');
    expect(promDuration(-60_000)).toBe('-1m');
  });
});

describe('metrics browser', () => {
  it('suggests by type', () => {
    expect(suggestion('a_total', 'counter')).toBe('rate(a_total[5m])');
    expect(suggestion('a_seconds_bucket', 'histogram')).toContain('histogram_quantile');
    expect(suggestion('a_seconds', 'histogram')).toBe('histogram_quantile(0.95, rate(a_seconds[5m]))');
    expect(suggestion('a_bytes', 'gauge')).toBe('a_bytes');
  });
  it('asks for several metrics at once', () => {
    expect(selectorOf(['up', 'a.b'])).toBe('{__name__=~"up|a\\\\.b"}');
    expect(ageQuery(['up', 'odd $1'])).toBe(
      'label_replace(max(timestamp(up)), "metric", "up", "", "") or ' +
        'label_replace(max(timestamp({"odd $1"})), "metric", "odd $$1", "", "")',
    );
  });
  it('draws what a counter gained, over resets and gaps', () => {
    expect([...trendOf(Float64Array.of(1, 3, 1, Number.NaN, 5, 6), true)]).toEqual([
      Number.NaN,
      2,
      1,
      Number.NaN,
      Number.NaN,
      1,
    ]);
    const gauge = Float64Array.of(0, 10, Number.NaN, 5);
    expect(trendOf(gauge, false)).toBe(gauge);
    expect(sparkPath(gauge, 30, 12)).toBe('M0.0 11.0L10.0 1.0M30.0 6.0');
    expect(sparkPath(Float64Array.of(7), 30, 12)).toBe('M0.0 6.0');
    expect(sparkPath(Float64Array.of(Number.NaN), 30, 12)).toBe('');
  });
});

describe('narrowing a query', () => {
  it.each([
    ['up', 'job', 'node', true, 'up{job="node"}'],
    ['up{}', 'job', 'node', false, 'up{job!="node"}'],
    ['up{job="a"}', 'job', 'b', true, 'up{job="b"}'],
    ['up{job="a"}', 'job', 'b', false, 'up{job="a", job!="b"}'],
    ['up{job=~"a.*",}', 'job', 'ab', true, 'up{job=~"a.*",job="ab"}'],
    ['up{job="a"}', 'job', 'a', true, 'up{job="a"}'],
    ['{"odd name"}', 'x y', 'q"', true, '{"odd name", "x y"="q\\""}'],
    ['sum(rate(a[5m])) / b', 'x', '1', true, 'sum(rate(a{x="1"}[5m])) / b{x="1"}'],
    ['sum(rate(a[5m])', 'x', '1', true, 'sum(rate(a[5m])'],
    ['1 + 1', 'x', '1', true, '1 + 1'],
  ] as const)('%s by %s', (expr, label, value, keep, want) => {
    expect(withMatcher(expr, label, value, keep)).toBe(want);
  });
});

describe('inspector', () => {
  it('reads what the server says of itself, and nothing else', () => {
    expect(
      serverStats({ timings: { evalTotalTime: 0.25, execQueueTime: 0 }, samples: { totalQueryableSamples: 7 } }),
    ).toEqual({ evalSeconds: 0.25, queueSeconds: 0, samples: 7 });
    for (const odd of [null, undefined, {}, { timings: { evalTotalTime: 'x' } }, 5])
      expect(serverStats(odd)).toEqual({ evalSeconds: null, queueSeconds: null, samples: null });
  });
  it('writes columns as CSV', () => {
    const frame = {
      startMs: 0,
      endMs: 1000,
      stepMs: 1000,
      columns: [
        { labels: { a: 'x,y' }, values: Float64Array.of(1.5, Number.NaN), pyramid: [] },
        { labels: { a: '"' }, values: Float64Array.of(0.1, 1e21), pyramid: [] },
      ],
      warnings: [],
      infos: [],
      histogramSeries: 0,
      stats: null,
      bytes: 0,
      samples: 3,
    };
    expect(toCsv(frame, (l) => l.a ?? '')).toBe(
      'time,"x,y",""""\r\n1970-01-01T00:00:00.000Z,1.5,0.1\r\n1970-01-01T00:00:01.000Z,,1e+21\r\n',
    );
  });
});
