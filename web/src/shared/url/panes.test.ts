// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type PageState, readPage, writePage } from './page';
import { emptyPane, exploreSearch, type Pane, panesFromPrometheus, parsePanes, refIdAt, serialisePanes } from './panes';
import { parseSearch, stringifySearch, timeSearch } from './search';

/** A small generator of states: the same ones at every run. */
function random(seed: number) {
  let state = seed;
  return (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % n;
  };
}

const EXPRS = [
  '',
  'up',
  'rate(a_total[5m])',
  'sum by (x) ({__name__="ñandú", y=~"a|b\\\\.c"})',
  '1 + 1 # &=?%',
  '"\n"',
];

function state(seed: number): Pane[] {
  const pick = random(seed * 7919 + 13);
  return Array.from({ length: 1 + pick(4) }, (_, i) => ({
    id: ['a', 'b9x', 'c', 'ñ'][i] ?? 'z',
    queries: Array.from({ length: 1 + pick(3) }, (_q, k) => ({
      refId: refIdAt(k),
      expr: EXPRS[pick(EXPRS.length)] ?? '',
      hide: pick(3) === 0,
      instant: pick(4) !== 0,
      range: pick(4) !== 0,
      legendFormat: pick(2) ? '__auto' : '{{job}} on {{instance}}',
    })),
    range: pick(2) ? { from: 'now-1h', to: 'now' } : { from: '1795516325123', to: '1795516999999' },
    view: (['graph', 'table', 'explain'] as const)[pick(3)] ?? 'graph',
    hidden: pick(2) ? [] : ['1x2y3z', 'abc'],
    stacked: pick(2) === 0,
    ownRange: pick(3) === 0,
    compare: ['', 'previous', '1d', '36h'][pick(4)] ?? '',
    share: [50, 20, 63, 80][pick(4)] ?? 50,
    source: pick(2) ? 'metrics' : 'logs',
    logs: {
      tab: pick(2) ? 'lines' : 'patterns',
      oldestFirst: pick(2) === 0,
      wrap: pick(2) === 0,
      pretty: pick(2) === 0,
      ansi: pick(2) === 0,
      line: pick(2) ? '' : '1795580429501001035-1x2y3z',
    },
  }));
}

describe('Explore in the URL', () => {
  it('parses what it wrote, for 200 states, through a real query string', () => {
    for (let seed = 0; seed < 200; seed++) {
      const panes = state(seed);
      const search = parseSearch(stringifySearch(exploreSearch(panes)));
      expect(parsePanes(search)).toEqual({ panes, broken: false });
    }
  });

  it('keeps the width of panes within bounds', () => {
    const share = (value: unknown) =>
      parsePanes({ panes: JSON.stringify({ a: { panelsState: { tocayo: { share: value } } } }) });
    expect([1, 99, 40.4, 'x', Number.NaN].map((v) => share(v).panes[0]?.share)).toEqual([20, 80, 40, 50, 50]);
    const six = Object.fromEntries('abcdef'.split('').map((id) => [id, { queries: [] }]));
    expect(parsePanes({ panes: JSON.stringify(six) }).panes).toHaveLength(4);
  });

  it('reads links of Grafana, new and old', () => {
    const grafana = {
      panes:
        '{"x7":{"datasource":"p1","queries":[{"refId":"A","expr":"up","range":true,"instant":true,"datasource":{"type":"prometheus","uid":"p1"},"editorMode":"builder"}],"range":{"from":"now-3h","to":"now"}}}',
    };
    expect(parsePanes(grafana).panes[0]).toMatchObject({
      id: 'x7',
      queries: [{ expr: 'up' }],
      range: { from: 'now-3h', to: 'now' },
    });
    const loki = {
      panes:
        '{"l":{"datasource":"P8E80F9AEF21F6940","queries":[{"refId":"A","expr":"{job=\\"x\\"}","datasource":{"type":"loki","uid":"P8"}}],"range":{"from":"now-1h","to":"now"},"panelsState":{"logs":{"columns":{}}}}}',
    };
    expect(parsePanes(loki).panes[0]).toMatchObject({ source: 'logs', logs: { tab: 'lines' } });
    const left = { left: '["now-6h","now","prom",{"expr":"up"},{"ui":[true,true,true,"none"]}]' };
    expect(parsePanes(left).panes[0]).toMatchObject({
      queries: [{ expr: 'up' }],
      range: { from: 'now-6h', to: 'now' },
    });
    expect(
      parsePanes({ left: '{"queries":[{"refId":"B","expr":"x"}],"range":{"from":"1","to":"2"}}' }).panes[0]?.queries[0],
    ).toMatchObject({ refId: 'B', expr: 'x' });
  });

  it('never throws and says when a link is broken', () => {
    for (const panes of ['{', '[]', '7', 'null', '"x"', '{"a":5}', '{"a":{"queries":"no","range":[]}}', '{}'])
      expect(parsePanes({ panes }).panes.length).toBeGreaterThan(0);
    expect(parsePanes({ panes: '{' }).broken).toBe(true);
    expect(parsePanes({}).broken).toBe(false);
  });

  it('accepts links of Prometheus, old and new', () => {
    const [old] = panesFromPrometheus(
      parseSearch('?g0.expr=up&g0.tab=0&g0.range_input=2h&g0.end_input=2026-11-24%2010%3A00%3A00&g1.expr=down'),
    );
    expect(old?.queries.map((q) => q.expr)).toEqual(['up', 'down']);
    expect(old?.view).toBe('graph');
    expect(old?.range).toEqual({ from: '2026-11-24T10:00:00.000Z||-2h', to: '2026-11-24T10:00:00.000Z' });
    const [fresh] = panesFromPrometheus(parseSearch('?g0.expr=up&g0.tab=table&g0.range_input=30m'));
    expect(fresh).toMatchObject({ view: 'table', range: { from: 'now-30m', to: 'now' } });
    expect(panesFromPrometheus({})[0]?.queries[0]?.expr).toBe('');
  });

  it('writes little for the usual state', () => {
    expect(JSON.parse(serialisePanes([emptyPane('a', 'up')])).a.panelsState).toBeUndefined();
  });
});

describe('search parameters', () => {
  it('stay text, repeat, and drop what is empty', () => {
    expect(parseSearch('?a=1&b=true&c=x&c=y')).toEqual({ a: '1', b: 'true', c: ['x', 'y'] });
    expect(stringifySearch({ a: 1, b: undefined, c: ['x', 'y'], d: '' })).toBe('?a=1&c=x&c=y');
    expect(timeSearch({ from: 'now-1h', to: ['now', 'x'], refresh: 5, other: 'z' })).toEqual({
      from: 'now-1h',
      to: 'now',
      refresh: '5',
    });
  });
});

describe('routes', () => {
  const TIMES = [undefined, 'now-1h', '1795516325123', '2026-11-24T10:00:00Z||-1d/d'];
  const page = (seed: number): PageState => {
    const pick = random(seed * 104_729 + 7);
    const out: PageState = {
      hide: pick(2) ? [] : ['cpu.1a2b3c', 'odd.ñ&=,#%'].slice(0, 1 + pick(2)),
      table: pick(2) ? [] : ['cpu', 'memory'].slice(0, 1 + pick(2)),
      versus: pick(2) ? [] : ['cpu.1d', 'memory.previous'].slice(0, 1 + pick(2)),
    };
    const set = (key: 'from' | 'to' | 'timezone' | 'refresh' | 'compare', values: readonly (string | undefined)[]) => {
      const value = values[pick(values.length)];
      if (value !== undefined) out[key] = value;
    };
    set('from', TIMES);
    set('to', TIMES);
    set('timezone', [undefined, 'utc', 'America/Argentina/Buenos_Aires']);
    set('refresh', [undefined, 'off', 'auto', 'live', '30s']);
    set('compare', [undefined, 'previous', '1w']);
    return out;
  };
  const codecs: Record<string, (seed: number) => void> = {
    explore: (seed) => {
      const panes = state(seed);
      expect(parsePanes(parseSearch(stringifySearch(exploreSearch(panes)))).panes).toEqual(panes);
    },
    page: (seed) => {
      const want = page(seed);
      expect(readPage(parseSearch(stringifySearch(writePage(want))))).toEqual(want);
    },
    /** Pages that read at most plain parameters of their own. */
    plain: (seed) => {
      const pick = random(seed + 1);
      const next = { next: `/explore?x=${pick(1000)}&y=ñ%20#`, filter: EXPRS[pick(EXPRS.length)] || 'x' };
      expect(parseSearch(stringifySearch(next))).toEqual(next);
    },
  };
  /** Every address of the page and what its state is written with; a new route must be added here. */
  const ROUTES: Record<string, keyof typeof codecs> = {
    '/': 'page',
    '/explore': 'explore',
    '/hosts': 'page',
    '/hosts/$instance': 'page',
  };

  it('all write and read 200 states without a loss', async () => {
    const { router } = await import('@/app/router');
    const paths = Object.keys(router.routesByPath);
    for (const path of Object.keys(ROUTES)) expect(paths).toContain(path);
    for (const path of paths) for (let seed = 0; seed < 200; seed++) codecs[ROUTES[path] ?? 'plain']?.(seed);
    expect(paths.length).toBeGreaterThan(8);
    // The first import of the whole page takes its time on a busy machine.
  }, 60_000);

  it('read whatever stands there', () => {
    expect(readPage({ from: 5, hide: 'x', table: ['', 'y', null], refresh: [], versus: 'cpu.1d' })).toEqual({
      from: '5',
      hide: ['x'],
      table: ['y'],
      versus: ['cpu.1d'],
    });
  });
});
