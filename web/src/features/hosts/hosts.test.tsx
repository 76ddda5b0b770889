// SPDX-License-Identifier: Apache-2.0
import { fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { withLayout, withSockets } from '@/shared/testing/dom';
import { host, quietHome } from '@/shared/testing/home';
import { mount, withTexts } from '@/shared/testing/mount';
import { FakeServer, matrix, promError, refusal } from '@/shared/testing/server';
import { HostPage } from './HostPage';
import { HostsPage } from './HostsPage';

withLayout();
withTexts('hosts');

const HOSTS = [
  host('web-1', { cpu: 0.9, memory: 0.2 }),
  host('db-1', { cpu: 0.1, memory: 0.8, os: 'Alpine', lastSeenMs: Date.now() - 600_000 }),
  host('cache-1', { cpu: null, disk: null }),
];
let server: FakeServer;
beforeEach(() => {
  withSockets();
  server = new FakeServer().start();
  server.on('GET /api/ui/home', quietHome({ hosts: HOSTS }));
  server.on('POST /api/v1/query_range', matrix({ metric: { mode: 'user', device: 'sda' }, value: () => 0.5 }));
});

const names = () =>
  within(screen.getByRole('table'))
    .getAllByRole('link')
    .map((a) => a.textContent);

describe('all hosts', () => {
  it('sort by a column, both ways, and say which machine is silent', async () => {
    await mount({ '/hosts': HostsPage }, '/hosts');
    await screen.findByText('web-1');
    expect(within(screen.getByText('db-1').closest('tr') as HTMLElement).getByText(/^10 min/)).toBeTruthy();
    const cpu = within(screen.getByRole('table')).getByRole('button', { name: /CPU/ });
    fireEvent.click(cpu);
    const once = names();
    fireEvent.click(cpu);
    expect(names()).toEqual([...once].reverse());
    expect([...once].sort()).toEqual(['cache-1', 'db-1', 'web-1']);
  });

  it('are filtered by name, system and job, in the address', async () => {
    const page = await mount({ '/hosts': HostsPage }, '/hosts');
    await screen.findByText('web-1');
    fireEvent.change(screen.getByRole('searchbox'), { target: { value: 'ALPINE' } });
    await waitFor(() => expect(names()).toEqual(['db-1']));
    expect(page.search()).toEqual({ q: 'ALPINE' });
    expect(screen.getByText('1 host')).toBeTruthy();
  });

  it('say that the filter hides them, and one click shows them', async () => {
    const page = await mount({ '/hosts': HostsPage }, '/hosts?q=nothing');
    expect(await screen.findByText('The filter hides all 3 hosts.')).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Clear the filter' }));
    await waitFor(() => expect(names()).toHaveLength(3));
    expect(page.search()).toEqual({});
  });

  it('lead to how one is added while there are none', async () => {
    server.on('GET /api/ui/home', quietHome({ hosts: [] }));
    const page = await mount({ '/hosts': HostsPage }, '/hosts');
    expect(await screen.findByText('No machine sends metrics yet.')).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'How to send some' }));
    await waitFor(() => expect(page.address()).toBe('/'));
  });

  it('say who can grant the right to see them', async () => {
    server.on('GET /api/ui/home', () => refusal(403, 'forbidden', 'no'));
    await mount({ '/hosts': HostsPage }, '/hosts');
    expect(await screen.findByText('You may not see this.')).toBeTruthy();
  });
});

describe('one host', () => {
  const AT = '/hosts/web-1:9100?from=now-1h&to=now&refresh=off';

  it('is charted with no set-up: every query is of this machine only', async () => {
    await mount({ '/hosts/$instance': HostPage }, AT);
    expect(await screen.findByRole('heading', { level: 1, name: /web-1/ })).toBeTruthy();
    expect(await screen.findByText('Debian 12 · node')).toBeTruthy();
    await waitFor(() => expect(server.to('POST /api/v1/query_range').length).toBeGreaterThan(15));
    for (const { params } of server.to('POST /api/v1/query_range'))
      expect(params.get('query')).toContain('instance="web-1:9100"');
    expect(document.querySelectorAll('[data-panel]').length).toBeGreaterThanOrEqual(12);
  });

  it('shows a panel as a table and leads to Explore with its queries', async () => {
    const page = await mount({ '/hosts/$instance': HostPage }, AT);
    const title = await screen.findByRole('heading', { name: 'Load' });
    const panel = title.closest('[data-panel]') as HTMLElement;
    await waitFor(() => expect(panel.querySelector('figure')).toBeTruthy());
    fireEvent.click(within(panel).getByRole('button', { name: /table/i }));
    await waitFor(() => expect(within(panel).getByRole('table')).toBeTruthy());
    expect(page.search().table).toBe('load');
    expect(within(panel).getAllByRole('columnheader')).toHaveLength(4);
    expect(within(panel).getAllByRole('row').length).toBeGreaterThan(5);
    const link = within(panel).getByRole('link');
    const panes = JSON.parse(new URL(link.getAttribute('href') ?? '', 'http://x').searchParams.get('panes') ?? '') as {
      a: { queries: { expr: string }[]; range: object };
    };
    expect(panes.a.queries.map((q) => q.expr.split('{')[0])).toEqual(['node_load1', 'node_load5', 'node_load15']);
    expect(panes.a.range).toEqual({ from: 'now-1h', to: 'now' });
  });

  it('switches series off in the address', async () => {
    const page = await mount({ '/hosts/$instance': HostPage }, AT);
    const panel = (await screen.findByRole('heading', { name: 'Load' })).closest('[data-panel]') as HTMLElement;
    const item = await within(panel).findByRole('button', { name: '5 minutes' });
    fireEvent.click(item, { ctrlKey: true });
    await waitFor(() => expect(String(page.search().hide)).toMatch(/^load\./));
    await waitFor(() =>
      expect(within(panel).getByRole('button', { name: '5 minutes' }).getAttribute('aria-pressed')).toBe('false'),
    );
  });

  it('keeps what it has when one query fails', async () => {
    const good = matrix({ metric: { device: 'sda' }, value: () => 1 });
    server.on('POST /api/v1/query_range', (asked: never) => {
      const { params } = asked as { params: URLSearchParams };
      return params.get('query')?.includes('node_load5') ? promError('out of luck') : good(asked);
    });
    await mount({ '/hosts/$instance': HostPage }, AT);
    const panel = (await screen.findByRole('heading', { name: 'Load' })).closest('[data-panel]') as HTMLElement;
    expect(await within(panel).findByText('1 query failed; the rest is shown')).toBeTruthy();
    expect(within(panel).getByText('out of luck')).toBeTruthy();
    expect(within(panel).getByRole('button', { name: '1 minute' })).toBeTruthy();
  });

  it('offers a wider range where there are no samples', async () => {
    server.on('POST /api/v1/query_range', matrix());
    const page = await mount({ '/hosts/$instance': HostPage }, AT);
    const panel = (await screen.findByRole('heading', { name: 'Load' })).closest('[data-panel]') as HTMLElement;
    fireEvent.click(await within(panel).findByRole('button', { name: /zoom out/i }));
    await waitFor(() => expect(Number(page.search().to) - Number(page.search().from)).toBe(7_200_000));
  });
});
