// SPDX-License-Identifier: Apache-2.0
import { act, fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket, withClipboard, withLayout, withSockets } from '@/shared/testing/dom';
import { mount, withTexts } from '@/shared/testing/mount';
import { type Asked, FakeServer, matrix, prom, promError, vector } from '@/shared/testing/server';
import { emptyPane, emptyQuery, exploreSearch, LOG_VIEW, type LogTab } from '@/shared/url/panes';
import { stringifySearch } from '@/shared/url/search';
import { ExplorePage } from '../ExplorePage';

vi.mock('../editor/PromEditor', () => import('@/shared/testing/PlainEditor'));
vi.mock('../editor/LogEditor', () => import('@/shared/testing/PlainEditor'));
withLayout();
withTexts('explore');

const LOKI = '/loki/api/v1';
const NOW = Date.now();
const ns = (secondsAgo: number) => `${Math.floor(NOW / 1000) - secondsAgo}000000001`;
const line = (app: string, secondsAgo: number, text: string, level = 'info') => ({
  stream: { app },
  values: [[ns(secondsAgo), text, { structuredMetadata: { detected_level: level } }]],
});
const WEB = [line('web', 10, 'GET /a took=5 status=200'), line('web', 20, 'boom', 'error')];
const DB = [line('db', 15, '{"table":"t","rows":3}')];

let server: FakeServer;
let copied: string[];
beforeEach(() => {
  withSockets();
  copied = withClipboard();
  server = new FakeServer().start();
  server.on(`POST ${LOKI}/query_range`, (asked: Asked) => {
    const query = asked.params.get('query') ?? '';
    if (query.startsWith('sum')) {
      const count = query.includes('db') ? 3 : 7;
      const metric: Record<string, string> = query.includes('detected_level') ? { detected_level: 'error' } : {};
      return matrix({ metric, value: (k) => (k === 0 ? count : 0) })(asked);
    }
    if (query.includes('broken')) return promError('parse error at line 1, col 3: no');
    return prom({
      resultType: 'streams',
      result: [...(query.includes('web') ? WEB : []), ...(query.includes('db') ? DB : [])],
    });
  });
});

const open = (exprs: string[], tab: LogTab = 'lines') => {
  const queries = exprs.map((expr, i) => emptyQuery(i, expr));
  const pane = { ...emptyPane(), source: 'logs' as const, queries, logs: { ...LOG_VIEW, tab } };
  return mount({ '/explore': ExplorePage }, `/explore${stringifySearch(exploreSearch([pane]))}`);
};
const exprsOf = (search: Record<string, unknown>) =>
  (Object.values(JSON.parse(String(search.panes)))[0] as { queries: { expr: string }[] }).queries.map((q) => q.expr);
const press = (name: string | RegExp, box: HTMLElement = document.body) =>
  fireEvent.click(within(box).getByRole('button', { name }));
const volumeQueries = () =>
  server.to(`POST ${LOKI}/query_range`).flatMap(({ params }) => {
    const query = params.get('query') ?? '';
    return query.startsWith('sum') ? [query.replace(/\[.*?\]/, '[]')] : [];
  });

describe('lines', () => {
  it('are newest first, with their level, and the volume by level', async () => {
    await open(['{app="web"}']);
    expect(await screen.findByText('boom')).toBeTruthy();
    const rows = within(screen.getByRole('region', { name: 'Log lines' })).getAllByRole('listitem');
    expect(rows.map((r) => r.dataset.level)).toEqual(['info', 'error']);
    expect(await screen.findByText(/^7 lines, per/)).toBeTruthy();
    expect(volumeQueries()).toEqual(['sum by (detected_level) (count_over_time({app="web"} []))']);
    expect(screen.queryByText('By query')).toBeNull();
  });

  it('turn round, wrap and break up JSON', async () => {
    const page = await open(['{app="db"}']);
    await screen.findByText(/"table":"t"/);
    press(/Newest first/);
    await screen.findByRole('button', { name: /^Oldest first/ });
    press('Wrap long lines');
    await waitFor(() => expect(String(page.search().panes)).toContain('"wrap":false'));
    press('JSON over several lines');
    await waitFor(() => expect(screen.getByText(/"rows": 3/)).toBeTruthy());
    const logs = (
      Object.values(JSON.parse(String(page.search().panes)))[0] as { panelsState: { tocayo: { logs: object } } }
    ).panelsState.tocayo.logs;
    expect(logs).toEqual({ oldestFirst: true, wrap: false, pretty: true });
    await waitFor(() => expect(server.to(`POST ${LOKI}/query_range`).at(-1)?.params.get('direction')).toBe('forward'));
  });

  it('open: labels and fields narrow the query, the link leads to the line alone', async () => {
    const page = await open(['{app="web"}']);
    await screen.findByText('boom');
    fireEvent.click(screen.getAllByRole('button', { name: /^Details of the line/ })[0] as HTMLElement);
    expect(screen.getByText('Detected fields')).toBeTruthy();
    press('Copy link to this line');
    await waitFor(() => expect(copied).toHaveLength(1));
    const panes = JSON.parse(new URL(copied[0] ?? '').searchParams.get('panes') ?? '');
    expect(panes.a.panelsState.tocayo.logs.line).toContain(ns(10));
    press('Only status = 200');
    await waitFor(() => expect(exprsOf(page.search())).toEqual(['{app="web"} | logfmt | status="200"']));
  });

  it('show what stood around them', async () => {
    await open(['{app="web"} |= "boom"']);
    await screen.findByText('boom');
    fireEvent.click(screen.getAllByRole('button', { name: /^Details of the line/ })[1] as HTMLElement);
    press('Lines around it');
    const box = await screen.findByRole('dialog');
    expect(await within(box).findByText('GET /a took=5 status=200')).toBeTruthy();
    expect(within(box).getByText('Nothing later within a day')).toBeTruthy();
    // The stream alone: what the query filters is not asked for.
    expect(server.to(`POST ${LOKI}/query_range`).at(-1)?.params.get('query')).toBe('{app="web"}');
  });

  it('lead to metrics of the same labels, or say that there are none', async () => {
    server.on('GET /api/v1/label/app/values', prom([]));
    const page = await open(['{app="web"}']);
    await screen.findByText('boom');
    fireEvent.click(screen.getAllByRole('button', { name: /^Details of the line/ })[0] as HTMLElement);
    press('Metrics of the same labels');
    expect(await screen.findByText('No metrics carry any of these labels.')).toBeTruthy();
    // One value is enough to know: a label may have very many.
    expect(server.asked.at(-1)?.params.get('match[]')).toBe('{app="web"}');
    expect(server.asked.at(-1)?.params.get('limit')).toBe('1');
    server.on('GET /api/v1/label/app/values', prom(['web']));
    server.on('POST /api/v1/query_range', matrix());
    press('Metrics of the same labels');
    await waitFor(() => expect(String(page.search().panes)).toContain('tocayo-metrics'));
    expect(String(page.search().panes)).toContain('{app=\\"web\\"}');
  });

  it('say why there are none, and widen the range', async () => {
    server.on(`POST ${LOKI}/query_range`, (asked: Asked) =>
      asked.params.get('query')?.startsWith('sum') ? matrix()(asked) : prom({ resultType: 'streams', result: [] }),
    );
    await open(['{app="none"}']);
    expect(await screen.findByText('No lines match in this time range.')).toBeTruthy();
    expect(await screen.findByText('No lines to count in this time range.')).toBeTruthy();
    const before = server.to(`POST ${LOKI}/query_range`).length;
    fireEvent.click(
      within(screen.getByText('No lines match in this time range.').closest('section') as HTMLElement).getByRole(
        'button',
        { name: /zoom out/i },
      ),
    );
    await waitFor(() => expect(server.to(`POST ${LOKI}/query_range`).length).toBeGreaterThan(before));
  });

  it('begin with what sends some', async () => {
    server.on(`GET ${LOKI}/label/service_name/values`, prom(['web', 'db']));
    const page = await open(['']);
    fireEvent.click(await screen.findByRole('button', { name: 'web' }));
    await waitFor(() => expect(exprsOf(page.search())).toEqual(['{service_name="web"}']));
  });
});

describe('several queries of a pane', () => {
  it('count each for itself, as a line that two match would count twice in a sum', async () => {
    await open(['{app="web"}', '{app="db"}']);
    expect(await screen.findByText(/^lines of each query: A 7, B 3, per/)).toBeTruthy();
    expect(volumeQueries()).toEqual(['sum (count_over_time({app="web"} []))', 'sum (count_over_time({app="db"} []))']);
    expect(await screen.findByRole('button', { name: 'A: {app="web"}' })).toBeTruthy();
    expect(screen.getByRole('button', { name: 'B: {app="db"}' })).toBeTruthy();
    fireEvent.click(screen.getByLabelText('Levels of B'));
    expect(await screen.findByText(/^3 lines, per/)).toBeTruthy();
    expect(volumeQueries().at(-1)).toBe('sum by (detected_level) (count_over_time({app="db"} []))');
  });

  it('show the lines of both, each once, and narrow both from a line', async () => {
    const page = await open(['{app="web"}', '{app=~"web|db"}']);
    expect(await screen.findByText(/"table":"t"/)).toBeTruthy();
    expect(screen.getAllByText('boom')).toHaveLength(1);
    expect(screen.getByText('3 lines')).toBeTruthy();
    fireEvent.click(screen.getAllByRole('button', { name: /^Details of the line/ })[0] as HTMLElement);
    press('Without status = 200');
    await waitFor(() =>
      expect(exprsOf(page.search())).toEqual([
        '{app="web"} | logfmt | status!="200"',
        '{app=~"web|db"} | logfmt | status!="200"',
      ]),
    );
  });

  it('keep what the others bring when one fails', async () => {
    await open(['{app="web"}', '{app="broken"}']);
    expect(await screen.findByText('boom')).toBeTruthy();
    expect((await screen.findByTestId('query-error')).textContent).toContain('no');
  });

  it('list the fields of all, and count the values of each query apart', async () => {
    server
      .on(`POST ${LOKI}/series`, ({ params }: Asked) =>
        prom(
          params.get('match')?.includes('web')
            ? [
                { app: 'web', host: 'a' },
                { app: 'web', host: 'b' },
              ]
            : [{ app: 'db', host: 'b' }],
        ),
      )
      .on(`POST ${LOKI}/detected_fields`, ({ params }: Asked) =>
        Response.json({
          fields: params.get('query')?.includes('db')
            ? [{ label: 'rows', type: 'int', cardinality: 3, parsers: ['json'] }]
            : [{ label: 'status', type: 'int', cardinality: 4, parsers: ['logfmt'] }],
        }),
      )
      .on(`POST ${LOKI}/query`, ({ params }: Asked) => {
        const query = params.get('query') ?? '';
        if (query.startsWith('sum')) return vector([{}, query.includes('db') ? 5 : 9]);
        return query.includes('db') ? vector([{ host: 'b' }, 5]) : vector([{ host: 'a' }, 6], [{ host: 'b' }, 2]);
      });
    const page = await open(['{app="web"}', '{app="db"}'], 'fields');
    const names = async () => (await screen.findAllByRole('button', { expanded: false })).map((b) => b.textContent);
    await screen.findByText('status');
    expect((await names()).filter((n) => /value/.test(n ?? ''))).toEqual([
      'applabel2 values',
      'hostlabel2 values',
      'rowsint3 values',
      'statusint4 values',
    ]);
    fireEvent.click(screen.getByRole('button', { name: /^host/ }));
    const a = await screen.findByRole('list', { name: 'Values of host in A' });
    const b = await screen.findByRole('list', { name: 'Values of host in B' });
    expect(await within(a).findByText('66.7%')).toBeTruthy();
    expect(within(a).getByText('1 line has another value')).toBeTruthy();
    expect(await within(b).findByText('100%')).toBeTruthy();
    // A button narrows the query that it counts, not the other one.
    press('Only host = b', b);
    await waitFor(() => expect(exprsOf(page.search())).toEqual(['{app="web"}', '{app="db", host="b"}']));
    expect(screen.queryByText('rows')).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: /^rows/ }));
    await waitFor(() => expect(server.to(`POST ${LOKI}/query`).at(-1)?.params.get('query')).toContain('| json |'));
  });

  it('list the patterns of every selector once', async () => {
    server.on(`POST ${LOKI}/patterns`, ({ params }: Asked) =>
      prom(
        params.get('query')?.includes('web')
          ? [
              {
                pattern: 'GET <_>',
                level: 'info',
                samples: [
                  [1, 4],
                  [2, 5],
                ],
              },
              { pattern: 'boom <_>', level: 'error', samples: [[1, 20]] },
            ]
          : [{ pattern: 'insert <_>', level: 'info', samples: [[1, 2]] }],
      ),
    );
    const page = await open(['{app="web"}', '{app="web"} |= "a"', '{app="db"}'], 'patterns');
    await screen.findByText('insert <_>');
    expect(server.to(`POST ${LOKI}/patterns`).map((x) => x.params.get('query'))).toEqual(['{app="web"}', '{app="db"}']);
    const heads = screen.getAllByRole('heading', { level: 3 }).map((h) => h.textContent);
    expect(heads).toEqual(['AB{app="web"}', 'C{app="db"}']);
    expect(screen.getByText('3 patterns')).toBeTruthy();
    const codes = [...document.querySelectorAll('ol code')].map((c) => c.textContent);
    expect(codes).toEqual(['boom <_>', 'GET <_>', 'insert <_>']);
    press('Without lines like insert <_>');
    await waitFor(() =>
      expect(exprsOf(page.search())).toEqual(['{app="web"}', '{app="web"} |= "a"', '{app="db"} !> "insert <_>"']),
    );
  });
});

describe('numbers', () => {
  const EXPR = 'sum by (app) (rate({app=~".+"} [1m]))';

  it('are charted over the range, or listed at its end', async () => {
    server.on(`POST ${LOKI}/query`, vector([{ app: 'web' }, '0.25']));
    await open([EXPR]);
    expect(await screen.findByRole('figure')).toBeTruthy();
    expect(screen.queryByText(/Log volume/)).toBeNull();
    press('Stack');
    fireEvent.click(screen.getByLabelText('Table'));
    expect(await screen.findByText('0.25')).toBeTruthy();
  });

  it('that fail say so in their row', async () => {
    server.on(`POST ${LOKI}/query_range`, () => promError('too many series'));
    await open([EXPR]);
    expect((await screen.findByTestId('query-error')).textContent).toContain('too many series');
    expect(await screen.findByText('The query failed; the reason is shown above.')).toBeTruthy();
  });
});

describe('the live tail', () => {
  it('shows lines as they arrive, pauses, counts what waits and goes on', async () => {
    await open(['{app="web"}']);
    await screen.findByText('boom');
    press('Live tail');
    await waitFor(() => expect(FakeSocket.all).toHaveLength(1));
    const [socket] = FakeSocket.all as [FakeSocket];
    expect(String(socket.url)).toContain(`query=${encodeURIComponent('{app="web"}')}`);
    act(() => socket.open());
    expect(await screen.findByText('live')).toBeTruthy();
    act(() => socket.say({ streams: [line('web', 1, 'fresh')], dropped_entries: [{}, {}] }));
    expect(await screen.findByText('fresh')).toBeTruthy();
    expect(screen.getByText(/left out 2 lines/)).toBeTruthy();
    press('Pause');
    act(() => socket.say({ streams: [line('web', 0, 'later')] }));
    expect(await screen.findByText('paused, 1 line waits')).toBeTruthy();
    expect(screen.queryByText('later')).toBeNull();
    press('Resume');
    expect(await screen.findByText('later')).toBeTruthy();
    act(() => socket.close());
    expect(await screen.findByText('connection lost, trying again')).toBeTruthy();
    press('Stop the tail');
    expect(await screen.findByText('boom')).toBeTruthy();
  });
});
