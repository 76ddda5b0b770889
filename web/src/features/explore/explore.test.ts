// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { caretLines, splitPosition } from './errors';
import { legendName } from './legend';
import { metadataOf, suggestion } from './MetricsBrowser';
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
  it('suggests by type and finds the metadata of parts', () => {
    expect(suggestion('a_total', 'counter')).toBe('rate(a_total[5m])');
    expect(suggestion('a_seconds_bucket', 'histogram')).toContain('histogram_quantile');
    expect(suggestion('a_bytes', 'gauge')).toBe('a_bytes');
    expect(metadataOf({ a_seconds: [{ type: 'histogram', help: 'h', unit: '' }] }, 'a_seconds_bucket')?.help).toBe('h');
  });
});
