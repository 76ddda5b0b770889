// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { placeOf } from '../editor/logCompletion';
import { splitPosition } from '../errors';
import { fileOf } from './download';
import {
  ansiSegments,
  detectFields,
  joinLines,
  joinPages,
  levelOf,
  linesOf,
  prettyJson,
  type Stream,
  shiftNs,
  splitAt,
  withoutAnsi,
} from './lines';
import { analyse, fieldCounts, withField, withPattern, withStage, withStreamLabel } from './logql';
import { askAll, failuresOf, mergeLines } from './parts';

describe('a query', () => {
  it('is read as lines or numbers, with the part that selects lines', () => {
    expect(analyse(' ')).toMatchObject({ kind: 'empty' });
    expect(analyse('{a="b"} |= "x" or `y` | json')).toEqual({
      kind: 'logs',
      logPart: '{a="b"} |= "x" or `y` | json',
      selector: '{a="b"}',
      words: ['x', 'y'],
    });
    expect(analyse('sum by (x) (rate({a="b"} != "no" | json | unwrap took [5m] offset 1h)) / 2')).toEqual({
      kind: 'metric',
      logPart: '{a="b"} != "no" | json',
      selector: '{a="b"}',
      words: [],
    });
    expect(analyse('{a=').kind).toBe('logs');
  });

  it('is narrowed in its selector', () => {
    expect(withStreamLabel('{a="b"}', 'c', 'd"e', true)).toBe('{a="b", c="d\\"e"}');
    expect(withStreamLabel('{a="b"} | json', 'a', 'z', true)).toBe('{a="z"} | json');
    expect(withStreamLabel('{x="1", a="b"}', 'a', 'b', true)).toBe('{x="1", a="b"}');
    expect(withStreamLabel('{x=~"a.*"}', 'x', 'abc', false)).toBe('{x=~"a.*", x!="abc"}');
    expect(withStreamLabel('rate({a="b"}[5m]) / rate({c="d"}[5m])', 'e', 'f', false)).toBe(
      'rate({a="b", e!="f"}[5m]) / rate({c="d", e!="f"}[5m])',
    );
    expect(withStreamLabel('{a=', 'c', 'd', true)).toBe('{a=');
  });

  it('is narrowed by a field, with its parser where none is there', () => {
    expect(withField('{a="b"}', 'user', 'x', true, 'json')).toBe('{a="b"} | json | user="x"');
    expect(withField('{a="b"} | json', 'user', 'x', false, 'json')).toBe('{a="b"} | json | user!="x"');
    expect(withField('{a="b"}', 'path', 'C:\\x "y"', true, null)).toBe('{a="b"} | path=`C:\\x "y"`');
    const once = withField('{a="b"}', 'k', 'v', true, null);
    expect(withField(once, 'k', 'v', true, null)).toBe(once);
    expect(withField('sum(count_over_time({a="b"} | unwrap n [1m]))', 'k', 'v', true, null)).toBe(
      'sum(count_over_time({a="b"} | k="v" | unwrap n [1m]))',
    );
  });

  it('is narrowed by a pattern', () => {
    expect(withPattern('{a="b"} # note', 'GET <_> "x"', true)).toBe('{a="b"} |> `GET <_> "x"` # note');
    expect(withPattern('{a="b"}', 'x <_>', false)).toBe('{a="b"} !> "x <_>"');
    expect(withStage('not a query', '| json')).toBe('not a query');
  });

  it('counts the values of a label or field', () => {
    expect(fieldCounts('{a="b"}', 'job', null, 60, 5)).toEqual({
      top: 'topk(5, sum by (job) (count_over_time({a="b"} | job!="" [60s])))',
      all: 'sum(count_over_time({a="b"} | job!="" [60s]))',
    });
    expect(fieldCounts('{a="b"} |= "x"', 'user', 'json', 3600, 5).all).toBe(
      'sum(count_over_time({a="b"} |= "x" | json | __error__="" | user!="" [3600s]))',
    );
    expect(fieldCounts('{a="b"} | json', 'user', 'json', 1, 5).all).toBe(
      'sum(count_over_time({a="b"} | json | __error__="" | user!="" [1s]))',
    );
  });

  it('that is wrong has its place', () => {
    expect(splitPosition('parse error at line 2, col 7: syntax error: unexpected $end')).toEqual({
      position: { line: 2, column: 7 },
      text: 'syntax error: unexpected $end',
    });
  });
});

describe('lines', () => {
  const streams: Stream[] = [
    { stream: { b: '1' }, values: [['1795580429501001035', 'late']] },
    {
      stream: { a: '1' },
      values: [
        ['1795580429501001034', 'same'],
        ['1795580429501001034', 'same'],
        ['995580429501001034', 'long ago', { structuredMetadata: { detected_level: 'WARN' } }],
      ],
    },
  ];

  it('are put in order, each with a key of its own', () => {
    const lines = linesOf(streams);
    expect(lines.map((l) => l.text)).toEqual(['long ago', 'same', 'same', 'late']);
    expect(new Set(lines.map((l) => l.key)).size).toBe(4);
    expect(lines[0]?.level).toBe('warn');
    expect(lines[3]?.ms).toBe(1795580429501);
  });

  it('of two answers that overlap are there once', () => {
    const lines = linesOf(streams);
    expect(joinLines([lines.slice(1), lines.slice(0, 3)]).map((l) => l.key)).toEqual(lines.map((l) => l.key));
  });

  it('of pages that follow each other are one list, whichever end came first', () => {
    const values = ['1', '2', '3', '3', '4', '5'].map((s, k): [string, string] => [`${s}000000`, `line ${k}`]);
    const lines = linesOf([{ stream: { a: 'b' }, values }]);
    const [old, young] = [lines.slice(0, 4), lines.slice(2)];
    expect(joinPages([old, young], true)).toEqual(lines);
    expect(joinPages([young, old], false)).toEqual(lines);
    expect(joinPages([young], false)).toEqual(young);
    // A page after another neighbour is looked at anew.
    expect(joinPages([lines.slice(4), old], false)).toEqual(
      lines.filter((_, k) => k !== 4 && k !== 5).concat(lines.slice(4)),
    );
    expect(joinPages([], true)).toEqual([]);
  });

  it('have a level, and none where the word is unknown', () => {
    expect(['ERR', 'fatal', 'Information', 'x', undefined].map(levelOf)).toEqual([
      'error',
      'critical',
      'info',
      'unknown',
      'unknown',
    ]);
  });

  it('become files that keep every nanosecond and start no formula', () => {
    const lines = linesOf([
      {
        stream: { job: 'a,b' },
        values: [
          ['1795580429501001034', '\u001b[31m=1+1\u001b[0m', { structuredMetadata: { trace: 't' } }],
          ['1795580429501001035', 'say "hi"\nthere'],
        ],
      },
    ]);
    expect(fileOf(lines, 'txt').text).toBe(
      '2026-11-25T04:20:29.501001034Z =1+1\n2026-11-25T04:20:29.501001035Z say "hi"\nthere\n',
    );
    expect(fileOf(lines, 'csv').text).toBe(
      [
        'time,timestamp_ns,level,job,line',
        `2026-11-25T04:20:29.501001034Z,1795580429501001034,unknown,"a,b",'=1+1`,
        '2026-11-25T04:20:29.501001035Z,1795580429501001035,unknown,"a,b","say ""hi""\nthere"',
        '',
      ].join('\r\n'),
    );
    expect(JSON.parse(fileOf(lines, 'json').text)[0]).toEqual({
      time: '2026-11-25T04:20:29.501001034Z',
      timestampNs: '1795580429501001034',
      level: 'unknown',
      labels: { job: 'a,b' },
      metadata: { trace: 't' },
      line: '\u001b[31m=1+1\u001b[0m',
    });
  });

  it('of several queries are there once, and end where the first of them was cut', () => {
    const answer = (texts: [string, string][], more: boolean) => ({
      lines: linesOf([{ stream: { a: '1' }, values: texts.map(([ns, text]) => [ns, text] as [string, string]) }]),
      more,
    });
    const whole = answer(
      [
        ['100', 'a'],
        ['300', 'c'],
        ['500', 'e'],
      ],
      false,
    );
    const cut = answer(
      [
        ['300', 'c'],
        ['400', 'd'],
      ],
      true,
    );
    const texts = (merged: { lines: { text: string }[] }) => merged.lines.map((line) => line.text).join('');
    expect(texts(mergeLines([whole, cut], false))).toBe('cde');
    expect(mergeLines([whole, cut], false).more).toBe(true);
    expect(texts(mergeLines([whole, cut], true))).toBe('acd');
    expect(texts(mergeLines([whole, answer([['300', 'c']], false)], false))).toBe('ace');
    expect(mergeLines([whole], false)).toBe(whole);
    expect(mergeLines([], false)).toEqual({ lines: [], more: false });
  });

  it('that some queries cannot bring are told by their rows', async () => {
    const signal = new AbortController().signal;
    const ask = (expr: string) => (expr === 'bad' ? Promise.reject(new Error('no')) : Promise.resolve(expr));
    const two = [
      { refId: 'A', expr: 'good' },
      { refId: 'B', expr: 'bad' },
    ];
    const parts = await askAll(two, ask, signal);
    expect(parts.map((part) => part.value)).toEqual(['good', null]);
    expect(Object.keys(failuresOf(two, null, parts))).toEqual(['B']);
    await expect(askAll(two.slice(1), ask, signal)).rejects.toThrow('no');
    expect(failuresOf(two.slice(1), new Error('no'), [])).toHaveProperty('B');
    expect(failuresOf(two, null, parts.slice(0, 1))).toEqual({});
    await expect(askAll(two, ask, AbortSignal.abort())).rejects.toThrow();
  });

  it('are in their millisecond, also at its very start', () => {
    for (const ms of ['1796023952137', '1796023952138', '1796023952139']) {
      const [line] = linesOf([{ stream: {}, values: [[`${ms}000000`, 'x']] }]);
      expect(String(line?.ms)).toBe(ms);
    }
  });

  it('keep every nanosecond', () => {
    expect(shiftNs('1795580429501001035', -1n)).toBe('1795580429501001034');
  });

  it('show or leave out the colours of terminals', () => {
    const text = '\u001b[1;31mbad\u001b[0m \u001b[2Kfine';
    expect(withoutAnsi(text)).toBe('bad fine');
    expect(ansiSegments(text)).toEqual([{ text: 'bad', colour: 'red', bold: true }, { text: ' ' }, { text: 'fine' }]);
  });

  it('are split where a filter matched', () => {
    expect(splitAt('a.b axb', ['a.b'])).toEqual(['', 'a.b', ' axb']);
    expect(splitAt('x', [''])).toEqual(['x']);
  });

  it('give the fields that the parsers of queries would', () => {
    expect(detectFields('{"a":1,"b":{"c-d":"x"},"e":[1],"f":null}')).toEqual({
      parser: 'json',
      fields: { a: '1', b_c_d: 'x' },
    });
    expect(detectFields('level=info msg="a \\"b\\" c" took=3ms')).toEqual({
      parser: 'logfmt',
      fields: { level: 'info', msg: 'a "b" c', took: '3ms' },
    });
    expect(detectFields('plain words, a=b')).toBeNull();
    expect(detectFields('{not json')).toBeNull();
    expect(prettyJson('{"a":1}')).toBe('{\n  "a": 1\n}');
    expect(prettyJson('[x')).toBeNull();
  });
});

describe('completion', () => {
  it('knows where the cursor is', () => {
    expect(placeOf('{')).toEqual({ kind: 'label', word: '' });
    expect(placeOf('{a="b", se')).toEqual({ kind: 'label', word: 'se' });
    expect(placeOf('{a="b", c=~"x')).toEqual({ kind: 'value', label: 'c', word: 'x', others: 'a="b"' });
    expect(placeOf('{a="}"} | js')).toEqual({ kind: 'stage', word: 'js', selector: '{a="}"}' });
    expect(placeOf('rate({a="b"} |= "x" [')).toEqual({ kind: 'span', word: '' });
    expect(placeOf('sum by (de')).toEqual({ kind: 'grouping', word: 'de' });
    expect(placeOf('su')).toEqual({ kind: 'function', word: 'su' });
    expect(placeOf('{a="b"} |= "some te')).toBeNull();
  });
});
