// SPDX-License-Identifier: Apache-2.0
// The whole page as it starts, with its own router, on a server that the test makes up.
import { act, fireEvent, screen, waitFor, within } from '@testing-library/react';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { boot } from '@/shared/api/boot';
import { reachability, reportReachability } from '@/shared/api/reachability';
import { prefs } from '@/shared/prefs';
import { withLayout, withSockets } from '@/shared/testing/dom';
import { quietHome } from '@/shared/testing/home';
import { FakeServer, matrix, prom, refusal } from '@/shared/testing/server';
import { router } from './router';
import { staticCommands } from './shell/commands';

vi.mock('@/features/explore/editor/PromEditor', () => import('@/shared/testing/PlainEditor'));
withLayout();
withSockets();

const root = document.createElement('div');
root.id = 'root';
let server: FakeServer;

beforeAll(async () => {
  prefs.set((p) => ({ ...p, language: 'en', timezone: 'utc', singleKeys: true }));
  server = new FakeServer().start();
  document.body.append(root);
  await import('./main');
});
beforeEach(async () => {
  document.body.append(root);
  server = new FakeServer().start();
  server
    .on('GET /api/ui/home', quietHome())
    .on('POST /api/v1/query_range', matrix({ metric: {}, value: () => 1 }))
    .on('GET /api/v1/label/__name__/values', prom([]))
    .on('GET /tenancy/api/v1/users', []);
  await go('/hosts');
  await screen.findByRole('heading', { level: 1, name: /Hosts/ });
});
afterAll(() => {
  boot.user = null;
});

/** Not within `act`: that would hold back the drawing for which a navigation waits. */
const go = async (to: string) => {
  void router.navigate({ href: to } as never);
  await waitFor(() => expect(router.state.status).toBe('idle'));
};
const key = (name: string, more: object = {}) =>
  act(
    () =>
      void document.body.dispatchEvent(
        new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true, ...more }),
      ),
  );
const heading = (name: string | RegExp) => screen.findByRole('heading', { level: 1, name });
const at = () => router.state.location.href;

describe('the frame', () => {
  it('leads everywhere by its rail, and moves the focus to the new page', async () => {
    const [rail] = screen.getAllByRole('navigation', { name: 'Main' }) as [HTMLElement];
    for (const [link, title] of [
      ['Home', 'Home'],
      ['Explore', 'Explore'],
      ['Hosts', 'Hosts'],
      ['Profile', 'Profile'],
    ] as const) {
      fireEvent.click(within(rail).getByRole('link', { name: new RegExp(link) }));
      await heading(new RegExp(title));
    }
    expect(document.activeElement?.tagName).toBe('MAIN');
  });

  it('obeys key sequences, not while somebody types', async () => {
    key('g');
    key('e');
    await heading('Explore');
    key('g');
    key('s');
    await heading('Hosts');
    const field = screen.getByRole('searchbox');
    fireEvent.keyDown(field, { key: 'g' });
    fireEvent.keyDown(field, { key: 'h' });
    expect(at()).toBe('/hosts');
    act(() => prefs.set((p) => ({ ...p, singleKeys: false })));
    key('g');
    key('h');
    expect(at()).toBe('/hosts');
    act(() => prefs.set((p) => ({ ...p, singleKeys: true })));
  });

  it('goes from panel to panel, and from a panel to Explore', async () => {
    await go('/hosts/web-1%3A9100?from=now-1h&to=now&refresh=off');
    await screen.findByRole('heading', { name: 'Load' });
    key('n');
    const first = document.activeElement?.closest('[data-panel]');
    expect(first).toBeTruthy();
    key('n');
    expect(document.activeElement?.closest('[data-panel]')).not.toBe(first);
    key('N');
    expect(document.activeElement?.closest('[data-panel]')).toBe(first);
    key('p');
    key('x');
    await heading('Explore');
    expect(decodeURIComponent(at())).toContain('node_cpu_seconds_total');
  });

  it('hides itself for a wall screen, and comes back', async () => {
    key('d');
    key('k');
    await waitFor(() => expect(at()).toBe('/hosts?kiosk=tv'));
    expect(screen.queryAllByRole('navigation', { name: 'Main' })).toHaveLength(0);
    key('Escape');
    await waitFor(() => expect(at()).toBe('/hosts'));
    expect(screen.getAllByRole('navigation', { name: 'Main' }).length).toBeGreaterThan(0);
  });

  it('lists its keys', async () => {
    key('?');
    const box = await screen.findByRole('dialog');
    expect(within(box).getByText('Shift+Enter', { exact: false })).toBeTruthy();
    expect(within(box).getAllByText('g').length).toBeGreaterThan(4);
    fireEvent.click(within(box).getByRole('button', { name: 'Close' }));
    await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
  });

  it('says so when the server is away, counts down and asks again at once when told', async () => {
    server.on('GET /-/healthy', undefined);
    act(() => reportReachability(false));
    const banner = await screen.findByRole('alert');
    expect(banner.textContent).toMatch(/\d/);
    fireEvent.click(within(banner).getByRole('button'));
    await waitFor(() => expect(screen.queryByRole('alert')).toBeNull());
    expect(reachability.get().up).toBe(true);
  });

  it('sends to the door when the session has ended, and says where to go back to', async () => {
    act(() => void window.dispatchEvent(new CustomEvent('tocayo:session-expired')));
    await heading(/Sign in/);
    expect(router.state.location.search).toMatchObject({ expired: '1' });
  });
});

describe('addresses', () => {
  it('that nobody knows lead to a page that leads home', async () => {
    await go('/no/such/page');
    await heading(/not/i);
    const main = screen.getByRole('main');
    expect(within(main).getByRole('link').getAttribute('href')).toBe('/');
  });

  it('of Prometheus are understood', async () => {
    await go('/graph?g0.expr=up&g0.tab=0&g0.range_input=2h');
    await heading('Explore');
    const panes = JSON.parse(String((router.state.location.search as Record<string, unknown>).panes)) as object;
    expect(Object.values(panes)[0]).toMatchObject({ queries: [{ expr: 'up' }], range: { from: 'now-2h', to: 'now' } });
    await go('/admin');
    await waitFor(() => expect(at()).toBe('/admin/about'));
  });

  it('are closed to strangers where sign-in is required', async () => {
    boot.authMode = 'required';
    try {
      await go('/me');
      await heading(/Sign in/);
      expect(router.state.location.search).toEqual({ next: '/me' });
    } finally {
      boot.authMode = 'off';
    }
  });
});

describe('the palette', () => {
  const open = async () => {
    key('k', { ctrlKey: true });
    return screen.findByRole('combobox', { name: /search/i });
  };
  const options = () => screen.getAllByRole('option').map((o) => o.textContent ?? '');
  const type = (field: HTMLElement, text: string) => fireEvent.change(field, { target: { value: text } });

  it('goes to a page by a few letters', async () => {
    const field = await open();
    type(field, 'audit');
    expect(options()[0]).toContain('Audit');
    fireEvent.keyDown(field, { key: 'Enter' });
    await waitFor(() => expect(at()).toBe('/admin/audit'));
    expect(screen.queryByRole('dialog')).toBeNull();
    // What was chosen last comes first.
    const again = await open();
    expect(options()[0]).toContain('Audit');
    fireEvent.keyDown(again, { key: 'Escape' });
  });

  it('finds metrics, hosts and label values of the server, and says when something is missing', async () => {
    const results = [
      { kind: 'metric', title: 'zq_requests_total', href: '' },
      { kind: 'host', title: 'zq-1:9100', subtitle: 'node', href: '' },
      { kind: 'label_value', title: 'zq', href: '/explore?x=1' },
      { kind: 'page', title: 'zq page', href: '/' },
    ];
    server.on('GET /api/ui/search', { results, warnings: ['too many labels'] });
    const field = await open();
    type(field, 'zq');
    await screen.findByText('zq_requests_total');
    expect(options()).toHaveLength(3);
    expect(screen.getByText(/too many labels/)).toBeTruthy();
    fireEvent.keyDown(field, { key: 'ArrowDown' });
    expect(screen.getAllByRole('option')[1]?.getAttribute('aria-selected')).toBe('true');
    fireEvent.keyDown(field, { key: 'ArrowUp' });
    fireEvent.keyDown(field, { key: 'ArrowUp' });
    expect(screen.getAllByRole('option')[2]?.getAttribute('aria-selected')).toBe('true');
    fireEvent.click(screen.getByText('zq-1:9100'));
    await waitFor(() => expect(at()).toBe('/hosts/zq-1%3A9100'));
  });

  it('takes a range in words for the page that is open', async () => {
    await go('/hosts/web-1%3A9100');
    await screen.findByRole('heading', { name: 'Load' });
    const field = await open();
    type(field, 'go to time 2026-11-22 10:00');
    expect(options()[0]).toContain('2026-11-22');
    fireEvent.keyDown(field, { key: 'Enter' });
    await waitFor(() => expect(router.state.location.search).toMatchObject({ refresh: 'off' }));
    const { from, to } = router.state.location.search as { from: string; to: string };
    const wanted = Date.UTC(2026, 10, 22, 10);
    expect([Number(from) < wanted, Number(to) > wanted]).toEqual([true, true]);
  });

  it('says that there is nothing', async () => {
    server.on('GET /api/ui/search', { results: [], warnings: [] });
    type(await open(), 'xyzzy plugh');
    expect(await screen.findByText(/nothing/i)).toBeTruthy();
    fireEvent.keyDown(screen.getByRole('combobox', { name: /search/i }), { key: 'PageDown' });
    fireEvent.keyDown(screen.getByRole('combobox', { name: /search/i }), { key: 'Enter' });
    expect(at()).toBe('/hosts');
  });

  it('changes the theme and the language', async () => {
    const run = async (text: string) => {
      const field = await open();
      type(field, text);
      fireEvent.keyDown(field, { key: 'Enter' });
    };
    await run('light');
    expect(prefs.get().theme).toBe('light');
    await run('espa');
    await waitFor(() => expect(prefs.get().language).toBe('es'));
    act(() => prefs.set((p) => ({ ...p, language: 'en' })));
  });

  it('signs out, also when the server is away', async () => {
    const went: string[] = [];
    vi.spyOn(location, 'assign').mockImplementation((to) => void went.push(String(to)));
    const context = { t: ((text: string) => text) as never, go: vi.fn(), setTime: vi.fn(), shortcuts: vi.fn() };
    const out = () => staticCommands(context).find((command) => command.id === 'action:logout');
    expect(out()).toBeUndefined();
    boot.user = { id: 1, login: 'ana', name: 'Ana', role: 'admin', instanceAdmin: true };
    server.on('POST /api/ui/logout', () => refusal(500, 'internal', 'no'));
    out()?.run();
    boot.user = null;
    await waitFor(() => expect(went).toEqual(['/login']));
  });
});
