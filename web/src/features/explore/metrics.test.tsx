// SPDX-License-Identifier: Apache-2.0
import { act, fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket, withClipboard, withLayout, withSockets } from '@/shared/testing/dom';
import { mount, withTexts } from '@/shared/testing/mount';
import { type Asked, FakeServer, matrix, prom, promError, vector } from '@/shared/testing/server';
import { lockRange } from '@/shared/time/lock';
import { emptyPane, exploreSearch, type Pane } from '@/shared/url/panes';
import { stringifySearch } from '@/shared/url/search';
import { ExplorePage } from './ExplorePage';
import { forgetNames } from './metricNames';
import { pastQueries } from './queryHistory';

vi.mock('./editor/PromEditor', () => import('@/shared/testing/PlainEditor'));
vi.mock('./editor/LogEditor', () => import('@/shared/testing/PlainEditor'));
withLayout();
withTexts('explore');

let server: FakeServer;
let copied: string[];
beforeEach(() => {
  withSockets();
  lockRange(null);
  forgetNames();
  pastQueries.set([]);
  copied = withClipboard();
  server = new FakeServer().start();
  server
    .on('GET /api/v1/label/__name__/values', prom(['up', 'node_load1']))
    .on('GET /api/v1/metadata', prom({}))
    .on(
      'POST /api/v1/query_range',
      matrix(
        { metric: { __name__: 'up', job: 'a' }, value: () => 1 },
        { metric: { __name__: 'up', job: 'b' }, value: () => 0 },
      ),
    );
});

const at = (...panes: Partial<Pane>[]) =>
  `/explore${stringifySearch(exploreSearch(panes.map((p, i) => ({ ...emptyPane('abcd'[i]), ...p }))))}`;
const query = (expr: string, change: object = {}) =>
  ({ ...emptyPane('a', expr).queries[0], ...change }) as Pane['queries'][0];
const show = (address: string) => mount({ '/explore': ExplorePage }, address);
const panesOf = (search: Record<string, unknown>) =>
  Object.values(JSON.parse(String(search.panes)) as Record<string, Record<string, never>>) as unknown as {
    queries: { refId: string; expr: string; hide?: boolean }[];
    range: { from: string; to: string };
    datasource: string;
    panelsState?: { tocayo?: Record<string, unknown> };
  }[];
const editor = (id: string) => screen.findByLabelText(`Query ${id}`, { selector: 'textarea' });
const press = (name: string | RegExp) => fireEvent.click(screen.getByRole('button', { name }));

describe('a pane of metrics', () => {
  it('begins with questions that this server can answer', async () => {
    const page = await show('/explore');
    fireEvent.click(await screen.findByRole('button', { name: 'up' }));
    await waitFor(() => expect(panesOf(page.search())[0]?.queries[0]?.expr).toBe('up'));
    expect(screen.queryByText(/node_cpu_seconds_total/)).toBeNull();
    await waitFor(() => expect(server.to('POST /api/v1/query_range')[0]?.params.get('query')).toBe('up'));
  });

  it('runs what was typed on Shift-Enter, keeps it in the address and in the history', async () => {
    const page = await show(at({ queries: [query('up')] }));
    fireEvent.change(await editor('A'), { target: { value: 'sum(up)' } });
    // Nothing is asked while somebody types.
    expect(server.to('POST /api/v1/query_range').every((a) => a.params.get('query') === 'up')).toBe(true);
    fireEvent.keyDown(await editor('A'), { key: 'Enter', shiftKey: true });
    await waitFor(() => expect(panesOf(page.search())[0]?.queries[0]?.expr).toBe('sum(up)'));
    expect(pastQueries.get()[0]).toMatchObject({ expr: 'sum(up)', source: 'metrics' });
    await waitFor(() => expect(server.to('POST /api/v1/query_range').at(-1)?.params.get('query')).toBe('sum(up)'));
  });

  it('adds, hides, formats and removes queries', async () => {
    server.on('POST /api/v1/format_query', ({ params }: Asked) => prom(`${params.get('query')} # formatted`));
    const page = await show(at({ queries: [query('up')] }));
    await editor('A');
    press('Add query');
    await editor('B');
    expect(panesOf(page.search())[0]?.queries.map((q) => q.refId)).toEqual(['A', 'B']);
    press('Hide query A');
    await waitFor(() => expect(panesOf(page.search())[0]?.queries[0]?.hide).toBe(true));
    fireEvent.click(screen.getAllByRole('button', { name: 'Format' })[0] as HTMLElement);
    await waitFor(async () => expect(((await editor('A')) as HTMLTextAreaElement).value).toBe('up # formatted'));
    press('Remove query A');
    await waitFor(() => expect(panesOf(page.search())[0]?.queries.map((q) => q.refId)).toEqual(['B']));
  });

  it('draws the graph with its legend, isolates a series and stacks', async () => {
    const page = await show(at({ queries: [query('up')] }));
    const item = await screen.findByRole('button', { name: /job="a"|^a$/ });
    fireEvent.click(item);
    await waitFor(() => expect(panesOf(page.search())[0]?.panelsState?.tocayo?.hidden).toHaveLength(1));
    press('Stack');
    await waitFor(() => expect(panesOf(page.search())[0]?.panelsState?.tocayo?.stacked).toBe(true));
    press(/view as table/i);
    expect(await screen.findAllByRole('columnheader')).toHaveLength(2);
  });

  it('shows the error of a query at its place, and draws the others', async () => {
    const good = matrix({ metric: { job: 'a' }, value: () => 1 });
    server.on('POST /api/v1/query_range', (asked: Asked) =>
      asked.params.get('query') === 'up'
        ? good(asked)
        : promError('invalid parameter "query": 1:8: parse error: unexpected ")"'),
    );
    await show(at({ queries: [query('up'), query('sum(up))', { refId: 'B' })] }));
    const problem = await screen.findByTestId('query-error');
    expect(problem.textContent).toContain('Line 1, column 8:');
    expect(problem.textContent).toContain('unexpected ")"');
    expect((await editor('B')).getAttribute('aria-invalid')).toBe('true');
    expect(await screen.findByText('1 query failed; the rest is shown')).toBeTruthy();
  });

  it('keeps full precision in the table, and copies it as it is', async () => {
    server.on('POST /api/v1/query', vector([{ __name__: 'up', job: 'a' }, '0.1000000000000000055'], [{}, '3']));
    await show(at({ queries: [query('up')], view: 'table' }));
    expect(await screen.findByText('0.1000000000000000055')).toBeTruthy();
    press('Copy the table');
    await waitFor(() => expect(copied).toEqual(['up{job="a"}\t0.1000000000000000055\n{}\t3']));
  });

  it('writes scalars, ranges and histograms in the table too', async () => {
    const answers: Record<string, unknown> = {
      one: prom({ resultType: 'scalar', result: [1, '42'] }),
      many: prom({
        resultType: 'matrix',
        result: [
          {
            metric: { a: '1' },
            values: [
              [1, '2'],
              [3, '4'],
            ],
          },
        ],
      }),
      hist: prom({ resultType: 'vector', result: [{ metric: { h: '1' }, histogram: [1, { count: '7', sum: '9' }] }] }),
      none: vector(),
    };
    server.on('POST /api/v1/query', ({ params }: Asked) => answers[params.get('query') ?? '']);
    await show(
      at({ queries: [query('one'), query('many', { refId: 'B' }), query('hist', { refId: 'C' })], view: 'table' }),
    );
    expect(await screen.findByText('42')).toBeTruthy();
    expect(screen.getByText(/2 @1/).textContent).toContain('4 @3');
    expect(screen.getByText('count 7, sum 9')).toBeTruthy();
    expect(screen.getByRole('columnheader', { name: 'Query' })).toBeTruthy();
  });

  it('explains a query part by part, with counts and times', async () => {
    const selector = { type: 'vectorSelector', name: 'up', matchers: [], offset: 0, timestamp: null, startOrEnd: null };
    server
      .on(
        'POST /api/v1/parse_query',
        prom({ type: 'aggregation', op: 'sum', expr: selector, grouping: [], param: null, without: false }),
      )
      .on('POST /api/v1/query', ({ params }: Asked) =>
        prom({
          resultType: 'vector',
          result: [{ metric: {}, value: [1, params.get('query')?.includes('sum') ? '1' : '12'] }],
          stats: { timings: { evalTotalTime: 0.005 } },
        }),
      );
    await show(at({ queries: [query('sum(up)')], view: 'explain' }));
    expect(await screen.findByText('12 series')).toBeTruthy();
    expect(screen.getAllByText('5 ms').length).toBe(2);
    expect(screen.getByText('up')).toBeTruthy();
  });

  it('opens what was asked and what came back', async () => {
    await show(at({ queries: [query('up')] }));
    await screen.findByRole('button', { name: /job="a"|^a$/ });
    press('Inspect');
    const box = await screen.findByRole('dialog');
    expect(within(box).getByText('Time series').parentElement?.textContent).toContain('2');
    fireEvent.click(within(box).getByRole('button', { name: 'Ask again and show the raw answer' }));
    expect(await within(box).findByText(/"resultType":"matrix"/)).toBeTruthy();
    const saved: string[] = [];
    vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => undefined);
    vi.spyOn(URL, 'createObjectURL').mockImplementation((blob) => {
      void (blob as Blob).text().then((text) => saved.push(text));
      return 'blob:x';
    });
    fireEvent.click(within(box).getByRole('button', { name: 'Download as CSV' }));
    await waitFor(() => expect(saved[0]?.split(/\r?\n/)[0]).toBe('time,"up{job=""a""}","up{job=""b""}"'));
  });
});

describe('several panes', () => {
  it('share a range until one is given its own', async () => {
    const page = await show(at({ queries: [query('up')] }));
    await editor('A');
    press('Split');
    await waitFor(() => expect(panesOf(page.search())).toHaveLength(2));
    fireEvent.click((await screen.findAllByRole('button', { name: 'Own time range' }))[1] as HTMLElement);
    await waitFor(() => expect(panesOf(page.search())[1]?.panelsState?.tocayo?.ownRange).toBe(true));
    fireEvent.click(screen.getAllByRole('button', { name: /zoom out/i })[0] as HTMLElement);
    await waitFor(() => expect(panesOf(page.search())[0]?.range.from).toMatch(/^\d+$/));
    expect(panesOf(page.search())[1]?.range.from).toBe('now-1h');
    fireEvent.click(screen.getAllByRole('button', { name: 'Close this pane' })[0] as HTMLElement);
    await waitFor(() => expect(panesOf(page.search())).toHaveLength(1));
  });

  it('take queries from the history of their source', async () => {
    pastQueries.set([
      { expr: 'rate(a[5m])', atMs: 1, source: 'metrics' },
      { expr: '{app="x"}', atMs: 1, source: 'logs' },
    ]);
    const page = await show(at({ queries: [query('up')] }));
    await editor('A');
    press('Query history');
    const box = await screen.findByRole('dialog');
    expect(within(box).queryByText('{app="x"}')).toBeNull();
    fireEvent.change(within(box).getByRole('searchbox'), { target: { value: 'nothing like it' } });
    expect(within(box).getByText('No query matches the search.')).toBeTruthy();
    fireEvent.change(within(box).getByRole('searchbox'), { target: { value: 'RATE' } });
    fireEvent.click(within(box).getByText('rate(a[5m])'));
    await waitFor(() => expect(panesOf(page.search())[0]?.queries.map((q) => q.expr)).toEqual(['rate(a[5m])']));
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  it('say that a link is broken, and show an empty query', async () => {
    await show('/explore?panes=%7B');
    expect(await screen.findByText(/The link cannot be understood/)).toBeTruthy();
  });

  it('hand on links, fixed in time or not, and short ones for what is long', async () => {
    server.on('POST /api/short-urls', { uid: 'x y' });
    await show(at({ queries: [query('up')] }));
    await editor('A');
    press('Copy link');
    press(/this moment/i);
    await waitFor(() => expect(copied).toHaveLength(2));
    expect(copied[0]).toContain(encodeURIComponent('"from":"now-1h"'));
    expect(decodeURIComponent(copied[1] ?? '')).toMatch(/"from":"\d{13}"/);
    fireEvent.change(await editor('A'), { target: { value: `up{a="${'x'.repeat(9000)}"}` } });
    press('Run');
    await waitFor(() => expect(server.to('POST /api/short-urls').length).toBeGreaterThan(0));
    // The button says "Copied" for a moment.
    fireEvent.click(await screen.findByRole('button', { name: 'Copy link' }));
    await waitFor(() => expect(copied.at(-1)).toBe(`${location.origin}/goto/x%20y`));
  });

  it('follow the range that a person locked', async () => {
    act(() => lockRange({ from: 'now-7d', to: 'now' }));
    const page = await show('/explore');
    await waitFor(() => expect(panesOf(page.search())[0]?.range).toEqual({ from: 'now-7d', to: 'now' }));
  });

  it('are live over one socket', async () => {
    await show(`${at({ queries: [query('up')], range: { from: 'now-5m', to: 'now' } })}&refresh=live`);
    await waitFor(() => expect(FakeSocket.all).toHaveLength(1));
    const [socket] = FakeSocket.all as [FakeSocket];
    act(() => socket.open());
    await waitFor(() => expect(socket.sent.some((m) => m.op === 'sub')).toBe(true));
    expect(server.to('POST /api/v1/query_range')).toHaveLength(0);
  });
});

describe('the list of metrics', () => {
  beforeEach(() => {
    const names = Array.from({ length: 300 }, (_, i) => `app_${String(i).padStart(3, '0')}_total`);
    server
      .on('GET /api/v1/label/__name__/values', prom([...names, 'node_load1', 'up']))
      .on(
        'GET /api/v1/metadata',
        prom({
          node_load1: [{ type: 'gauge', help: 'One minute load', unit: '' }],
          app_000: [{ type: 'counter', help: 'Requests', unit: '' }],
        }),
      )
      .on('GET /api/v1/status/tsdb', prom({ seriesCountByMetricName: [{ name: 'node_load1', value: 7 }] }))
      .on(
        'POST /api/v1/series',
        prom([
          { __name__: 'node_load1', host: 'a' },
          { __name__: 'node_load1', host: 'b' },
        ]),
      )
      .on('POST /api/v1/query', vector());
  });
  const open = async () => {
    const page = await show(at({ queries: [query('')] }));
    await editor('A');
    press('Metrics');
    return { page, box: await screen.findByRole('dialog') };
  };

  it('holds all names but only the rows in sight', async () => {
    const { box } = await open();
    expect(await within(box).findByText('302 metrics')).toBeTruthy();
    expect(await within(box).findByText('app_000_total')).toBeTruthy();
    expect(within(box).getAllByRole('listitem').length).toBeLessThan(60);
  });

  it('shows the first names while the others are on their way', async () => {
    let answer: (names: unknown) => void = () => undefined;
    const all = new Promise((resolve) => {
      answer = resolve;
    });
    const names = Array.from({ length: 1000 }, (_, i) => `m_${String(i).padStart(4, '0')}`);
    server.on('GET /api/v1/label/__name__/values', ({ params }: Asked) =>
      params.has('limit') ? prom(names.slice(0, Number(params.get('limit')))) : all,
    );
    const { box } = await open();
    expect(await within(box).findByText('m_0000')).toBeTruthy();
    expect(within(box).getByRole('status').textContent).toBe('The first ones; all others are on their way.');
    await waitFor(() => expect(server.to('GET /api/v1/label/__name__/values')).toHaveLength(3));
    answer(prom(names));
    expect(await within(box).findByText('1,000 metrics')).toBeTruthy();
    expect(within(box).getByText('m_0000')).toBeTruthy();
  });

  it('finds by name and by description, filters by type and suggests a query', async () => {
    const { page, box } = await open();
    await within(box).findByText('302 metrics');
    fireEvent.change(within(box).getByRole('searchbox'), { target: { value: 'minute' } });
    expect(await within(box).findByText('1 metric')).toBeTruthy();
    fireEvent.click(await within(box).findByText('node_load1'));
    expect(await within(box).findByText('2 series')).toBeTruthy();
    fireEvent.click(within(box).getByRole('button', { name: 'b' }));
    await waitFor(() => expect(panesOf(page.search())[0]?.queries[0]?.expr).toBe('node_load1{host="b"}'));
  });

  it('suggests a rate for what only grows', async () => {
    const { page, box } = await open();
    await within(box).findByText('302 metrics');
    fireEvent.change(within(box).getByLabelText('Type'), { target: { value: 'counter' } });
    await within(box).findByText('1 metric');
    fireEvent.click(await within(box).findByText('app_000_total'));
    fireEvent.click(await within(box).findByRole('button', { name: /^Query .*rate\(app_000_total/ }));
    await waitFor(() => expect(panesOf(page.search())[0]?.queries[0]?.expr).toContain('rate(app_000_total['));
  });

  it('says what is the matter when there is nothing to list', async () => {
    server.on('GET /api/v1/label/__name__/values', prom([]));
    const { box } = await open();
    expect(await within(box).findByText('No metric has been stored yet.')).toBeTruthy();
  });
});
