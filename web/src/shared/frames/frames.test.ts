// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { FakeServer, prom, refusal } from '../testing/server';
import { charts, WorkerClient } from './client';
import { createRunner, type Job } from './jobs';
import { decodeMatrix, drawable, onGrid, stepCount, transferables } from './matrix';
import { NameIndex } from './names';
import { buildPyramid, extremes, levelFor } from './pyramid';
import { MovingWindow } from './ring';
import { type Connect, type Pen, trace } from './trace';

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).buffer as ArrayBuffer;

/** Reproducible noise with gaps and one spike. */
function noisy(n: number, spikeAt: number): Float64Array {
  let state = 12345;
  const values = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[k] = k % 97 === 5 ? Number.NaN : (state / 2 ** 32) * 10;
  }
  values[spikeAt] = 1e6;
  return values;
}

function drawn(
  values: Float64Array,
  pixels: number,
  connect: Connect = 'never',
  from = 0,
  to = values.length - 1,
  pyramid = buildPyramid(values),
) {
  const parts: [number, number][][] = [];
  const pen: Pen = {
    move: (x, y) => parts.push([[x, y]]),
    line: (x, y) => parts.at(-1)?.push([x, y]),
  };
  const read = trace(values, pyramid, from, to, pixels, connect, pen);
  return { parts, read, points: parts.flat() };
}

describe('pyramid', () => {
  const values = noisy(100_000, 77_777);
  const pyramid = buildPyramid(values);

  it('keeps first, min, max and last of each eight', () => {
    expect(pyramid.map((l) => l.size)).toEqual([8, 64, 512, 4096, 32_768]);
    for (const level of pyramid)
      for (const entry of [0, 3, level.min.length - 1]) {
        const raw = [...values.slice(entry * level.size, (entry + 1) * level.size)].filter((v) => !Number.isNaN(v));
        expect(level.first[entry]).toBe(raw.length > 0 ? raw[0] : Number.NaN);
        expect(level.last[entry]).toBe(raw.at(-1) ?? Number.NaN);
        expect(level.min[entry]).toBe(raw.length > 0 ? Math.min(...raw) : Number.NaN);
        expect(level.max[entry]).toBe(raw.length > 0 ? Math.max(...raw) : Number.NaN);
      }
  });

  it('finds extremes of any span as a scan does', () => {
    for (const [from, to] of [
      [0, 99_999],
      [77_777, 77_777],
      [77_778, 99_999],
      [5, 5],
      [1, 13],
      [12_345, 67_890],
      [-10, 2_000_000],
    ] as const) {
      let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let k = Math.max(0, from); k <= Math.min(values.length - 1, to); k++) {
        const v = values[k] as number;
        if (v < min) min = v;
        if (v > max) max = v;
      }
      expect(extremes(values, pyramid, from, to)).toEqual(min > max ? null : [min, max]);
    }
    expect(extremes(new Float64Array(0), [], 0, 0)).toBeNull();
  });

  it('says which level is enough', () => {
    expect(levelFor(pyramid, 100, 400)).toBeNull();
    expect(levelFor(pyramid, 100_000, 4000)?.size).toBe(64);
    expect(levelFor(pyramid, 100_000, 1)?.size).toBe(32_768);
    expect(levelFor([], 100_000, 10)).toBeNull();
    expect(buildPyramid(new Float64Array(8))).toEqual([]);
  });
});

describe('trace', () => {
  const values = noisy(1_000_000, 654_321);
  const pyramid = buildPyramid(values);

  it('reads and draws at most four points a pixel at any zoom, and never loses the spike', () => {
    for (const pixels of [37, 320, 800, 2560])
      for (let span = 999_999; span >= 50; span = Math.floor(span / 3)) {
        const from = Math.max(0, 654_321 - Math.floor(span / 2));
        const { read, points } = drawn(values, pixels, 'always', from, from + span, pyramid);
        expect(read).toBeLessThanOrEqual(4 * pixels + 8);
        expect(points.length).toBeLessThanOrEqual(4 * pixels + 8);
        expect(Math.max(...points.map((p) => p[1]))).toBe(1e6);
      }
  });

  it('draws every value when there is room', () => {
    const short = Float64Array.of(1, 2, Number.NaN, 4, Number.NaN, Number.NaN, 7);
    expect(drawn(short, 100).parts).toEqual([
      [
        [0, 1],
        [1, 2],
      ],
      [[3, 4]],
      [[6, 7]],
    ]);
    expect(drawn(short, 100, 1).parts).toHaveLength(2);
    expect(drawn(short, 100, 'always').parts).toHaveLength(1);
    expect(drawn(short, 100, 'never', 1, 3).points).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(drawn(new Float64Array(0), 100).read).toBe(0);
  });

  it('shows gaps that are wide enough to be seen', () => {
    const holed = noisy(200_000, 10);
    holed.fill(Number.NaN, 80_000, 120_000);
    const { parts } = drawn(holed, 400);
    expect(parts).toHaveLength(2);
    expect(parts[0]?.at(-1)?.[0]).toBeLessThan(81_000);
    expect(parts[1]?.[0]?.[0]).toBeGreaterThan(119_000);
    // A short column has no pyramid: it is still thinned out by the pixel.
    const dense = drawn(holed.slice(0, 3000), 100, 'always', 0, 2999, []);
    expect(dense.points.length).toBeLessThanOrEqual(404);
  });
});

describe('range answers', () => {
  const grid = { startMs: 10_000, endMs: 13_000, stepMs: 1000 };
  const answer = {
    status: 'success',
    data: {
      resultType: 'matrix',
      result: [
        {
          metric: { x: 'a' },
          values: [
            [11, 'NaN'],
            [12, '+Inf'],
            [13, '-2.5'],
            [14, '9'],
          ],
        },
        { metric: { x: 'h' }, histograms: [[11, {}]] },
      ],
      stats: { timings: {} },
    },
    warnings: ['w'],
  };

  it('become columns on the grid', () => {
    const frame = decodeMatrix(bytes(answer), grid);
    expect(frame.columns.map((c) => [c.labels, [...c.values]])).toEqual([
      [{ x: 'a' }, [Number.NaN, Number.NaN, Number.NaN, -2.5]],
    ]);
    expect(frame).toMatchObject({ warnings: ['w'], infos: [], histogramSeries: 1, samples: 4 });
    expect(transferables(frame)).toHaveLength(1);
    expect(['1e3', '+Inf', '-Inf', 'NaN'].map(drawable)).toEqual([1000, Number.NaN, Number.NaN, Number.NaN]);
    expect(stepCount({ startMs: 5, endMs: 1, stepMs: 1 })).toBe(0);
  });

  it('of long ranges bring a pyramid along', () => {
    const long = { startMs: 0, endMs: 9_999_000, stepMs: 1000 };
    const data = { resultType: 'matrix', result: [{ metric: {}, values: [[5, '3']] }] };
    const frame = decodeMatrix(bytes({ status: 'success', data }), long);
    expect(frame.columns[0]?.pyramid[0]?.max[0]).toBe(3);
    expect(transferables(frame).length).toBeGreaterThan(4);
  });

  it('that are something else are refused', () => {
    for (const bad of [{ status: 'error' }, { status: 'success', data: { resultType: 'vector', result: [] } }, 7, {}])
      expect(() => decodeMatrix(bytes(bad), grid)).toThrow('no range result');
  });

  it('are moved to another grid while the right one is awaited', () => {
    const frame = decodeMatrix(bytes(answer), grid);
    expect(onGrid(frame, grid)).toBe(frame);
    const moved = onGrid(frame, { startMs: 12_000, endMs: 15_000, stepMs: 1000 });
    expect([...(moved.columns[0]?.values ?? [])]).toEqual([Number.NaN, -2.5, Number.NaN, Number.NaN]);
  });
});

describe('metric names', () => {
  const index = new NameIndex();
  const all = ['Memory_bytes', 'a_total', 'b_seconds_bucket', 'b_seconds_sum', 'up'];
  const find = (text: string, types: string[] = []) => {
    const count = index.find(text, types);
    const rows = index.slice(0, 10).map((r) => r.name);
    expect(rows).toHaveLength(count);
    return rows;
  };
  it('are found by name, description and type', () => {
    expect(index.load(bytes({ status: 'success', data: all }))).toBe(5);
    expect(find('')).toEqual(all);
    const meta = {
      a: [{ type: 'counter', help: 'Apples eaten', unit: '' }],
      b_seconds: [{ type: 'histogram', help: 'Waiting', unit: 'seconds' }],
      up: [{ type: 'gauge', help: '', unit: '' }],
      odd: [],
    };
    expect(index.describe(bytes({ status: 'success', data: meta }))).toEqual({ counter: 1, histogram: 1, gauge: 1 });
    expect(find('apples')).toEqual(['a_total']);
    expect(find('mem')).toEqual(['Memory_bytes']);
    expect(find('b_ sum')).toEqual(['b_seconds_sum']);
    expect(find('b_ sum waiting')).toEqual(['b_seconds_sum']);
    expect(find('b_')).toEqual(['b_seconds_bucket', 'b_seconds_sum']);
    expect(find('', ['histogram'])).toEqual(['b_seconds_bucket', 'b_seconds_sum']);
    expect(find('sum', ['histogram'])).toEqual(['b_seconds_sum']);
    expect(find('nothing')).toEqual([]);
    expect(find('')).toEqual(all);
    expect(index.slice(2, 3)).toEqual([
      { name: 'b_seconds_bucket', type: 'histogram', help: 'Waiting', unit: 'seconds' },
    ]);
    expect(() => index.load(bytes({ status: 'error' }))).toThrow('no list');
  });
  it('are found in answers of any shape as in plain ones', () => {
    const plain = new NameIndex();
    expect(plain.load(bytes({ status: 'success', data: ['abc', 'bca', 'cab'], warnings: ['cut'] }))).toBe(3);
    for (const [word, found] of [
      ['ca', ['bca', 'cab']],
      ['"ab', []],
      ['c","b', []],
      ['cut', []],
      ['AB', ['abc', 'cab']],
    ] as const) {
      expect([word, plain.find(word, [])]).toEqual([word, found.length]);
      expect(plain.slice(0, 9).map((row) => row.name)).toEqual(found);
    }
    expect(plain.load(bytes({ status: 'success', data: [] }))).toBe(0);
    expect(plain.find('a', [])).toBe(0);
    plain.find('', []);
    // Escapes, other alphabets, letters whose lower case is longer, and a list that is out of order.
    const odd = ['über_total', 'say_"hi"', 'İstanbul_up', 'b', 'a\\n'];
    const spaced = new TextEncoder().encode(`{ "data": ${JSON.stringify(odd)}, "status": "success" }`);
    expect(plain.load(spaced)).toBe(5);
    expect(plain.slice(0, 9).map((row) => row.name)).toEqual([...odd].sort());
    expect(plain.find('ÜBER', [])).toBe(1);
    expect(plain.find('"hi', [])).toBe(1);
    expect(plain.find('stanbul_up', [])).toBe(1);
    expect(plain.find('a\\', [])).toBe(1);
  });
  it('complete what is typed: all of few, the fitting ones of many, beginnings first', () => {
    const few = new NameIndex();
    few.load(bytes({ status: 'success', data: all }));
    expect(few.complete('mem', 2)).toEqual({ names: all, whole: true, about: {} });
    const counter = { type: 'counter', help: 'Apples eaten', unit: '' };
    const waiting = { type: 'histogram', help: 'Waiting', unit: 'seconds' };
    few.describe(bytes({ status: 'success', data: { a: [counter], b_seconds: [waiting], gone: [waiting] } }));
    expect(few.complete('mem', 2).about).toEqual({ a: [counter], b_seconds: [waiting] });
    const many = [...Array.from({ length: 30_000 }, (_, i) => `m${i}_up_total`), 'up', 'up_again'].sort();
    const big = new NameIndex();
    big.load(bytes({ status: 'success', data: many }));
    big.find('m29999', []);
    expect(big.complete('UP', 4)).toEqual({
      names: ['up', 'up_again', 'm0_up_total', 'm10000_up_total'],
      whole: false,
      about: {},
    });
    expect(big.complete('', 2).names).toEqual(many.slice(0, 2));
    expect(big.complete('nothing', 4)).toEqual({ names: [], whole: false, about: {} });
    // Neither completing nor loading again changes what a filter left.
    expect(big.slice(0, 9).map((row) => row.name)).toEqual(['m29999_up_total']);
    big.load(bytes({ status: 'success', data: many.slice(5) }));
    expect(big.slice(0, 9).map((row) => row.name)).toEqual(['m29999_up_total']);
  });
  it('are the same as those of a scan, whatever is asked', () => {
    const many = Array.from({ length: 3000 }, (_, i) => `s${i % 7}_requests_${i * 37}_total`).sort();
    const big = new NameIndex();
    big.load(bytes({ status: 'success', data: many }));
    for (const text of ['37', 's3 99', 'total', 'requests_1', 'q', 's1_requests_37_total']) {
      const words = text.split(' ');
      const scan = many.filter((name) => words.every((word) => name.includes(word)));
      expect([text, big.find(text, [])]).toEqual([text, scan.length]);
      expect(big.slice(0, 20).map((row) => row.name)).toEqual(scan.slice(0, 20));
    }
  });
});

describe('moving window', () => {
  const filled = (steps: number) => {
    const ring = new MovingWindow(5, 1000);
    const column = ring.column();
    for (let k = 1; k <= steps; k++) column[ring.slot(k * 1000)] = k;
    return { ring, column };
  };
  it('keeps the newest steps in memory of one size', () => {
    for (const steps of [1, 4, 5, 6, 10, 11, 12, 500]) {
      const { ring, column } = filled(steps);
      const want = Array.from({ length: Math.min(5, steps) }, (_, i) => steps - Math.min(5, steps) + 1 + i);
      expect([...ring.view(column)]).toEqual(want);
      expect([...ring.viewTimes()]).toEqual(want.map((k) => k * 1000));
      expect(column).toHaveLength(10);
      expect(ring.latest).toBe(steps * 1000);
    }
  });
  it('leaves gaps, takes corrections and older steps, and refuses what left the window', () => {
    const { ring, column } = filled(2);
    column[ring.slot(4000)] = 4;
    expect([...ring.view(column)]).toEqual([1, 2, Number.NaN, 4]);
    column[ring.slot(2010)] = -2;
    column[ring.slot(0)] = 10;
    expect([...ring.view(column)]).toEqual([10, 1, -2, Number.NaN, 4]);
    expect(ring.slot(-1000)).toBe(-1);
    expect([...ring.view(column, 1500)]).toEqual([-2, Number.NaN, 4]);
    expect(ring.view(column, 99_000)).toHaveLength(0);
  });
  it('starts over after a long silence, and forgets dropped columns', () => {
    const { ring, column } = filled(5);
    ring.drop(ring.column());
    column[ring.slot(1_000_000)] = 7;
    expect([...ring.view(column)]).toEqual([7]);
    expect(ring.length).toBe(1);
    expect(new MovingWindow(5, 1000).latest).toBe(0);
    expect(new MovingWindow(5, 1000).viewTimes(5)).toHaveLength(0);
  });
});

describe('worker', () => {
  const grid = { startMs: 0, endMs: 1000, stepMs: 1000 };
  const good = () => bytes({ status: 'success', data: { resultType: 'matrix', result: [] } });

  it('does every job, also on this thread', async () => {
    const server = new FakeServer().start();
    server
      .on('GET /names', prom(['x', 'y']))
      .on('GET /help', prom({}))
      .on('GET /no', () => refusal(400, 'bad', 'no'));
    const run = createRunner();
    const from = (path: string) => ({ url: `http://localhost${path}`, headers: { 'X-Scope-OrgID': 'team' } });
    const value = async (job: Job) => (await run(job)).value;
    expect(await value({ kind: 'names', from: from('/names') })).toMatchObject({ status: 200, value: 2 });
    expect(server.to('GET /names')[0]?.headers.get('X-Scope-OrgID')).toBe('team');
    expect(await value({ kind: 'help', from: from('/help') })).toMatchObject({ status: 200, value: {} });
    const refused = await value({ kind: 'names', from: from('/no') });
    expect(refused).toMatchObject({
      status: 400,
      requestId: 'r-1',
      body: expect.stringContaining('"bad"'),
      value: null,
    });
    expect(await value({ kind: 'find', text: 'y', types: [] })).toBe(1);
    expect(await value({ kind: 'slice', from: 0, to: 9 })).toEqual([{ name: 'y', type: '', help: '', unit: '' }]);
    const client = new WorkerClient(() => {
      throw new Error('none here');
    });
    await expect(client.run({ kind: 'matrix', bytes: good(), grid })).resolves.toMatchObject({ columns: [] });
    await expect(client.run({ kind: 'matrix', bytes: bytes(1), grid })).rejects.toThrow('no range result');
    charts.close();
  });

  it('brings answers to their askers, errors too, and goes on without the worker when it dies', async () => {
    const sent: { id: number; job: { kind: string } }[] = [];
    const fake = {
      onmessage: (_event: { data: unknown }) => undefined,
      onerror: () => undefined,
      postMessage: (m: (typeof sent)[number]) => sent.push(m),
      terminate: () => undefined,
    };
    const client = new WorkerClient(() => fake as unknown as Worker);
    const first = client.run({ kind: 'matrix', bytes: good(), grid });
    const second = client.run({ kind: 'find', text: '', types: [] });
    fake.onmessage({ data: { id: sent[1]?.id, error: 'bad' } });
    fake.onmessage({ data: { id: sent[0]?.id, value: 'frame' } });
    await expect(first).resolves.toBe('frame');
    await expect(second).rejects.toThrow('bad');
    const third = client.run({ kind: 'find', text: '', types: [] });
    fake.onerror();
    await expect(third).rejects.toThrow('stopped');
    await expect(client.run({ kind: 'matrix', bytes: good(), grid })).resolves.toMatchObject({ columns: [] });
  });
});
