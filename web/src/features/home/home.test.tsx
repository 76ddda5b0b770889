// SPDX-License-Identifier: Apache-2.0
import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { lastKnownState } from '@/shared/lastKnown';
import { liveStatus } from '@/shared/live/client';
import { FakeSocket, withLayout, withSockets } from '@/shared/testing/dom';
import { host, NOW, quietHome } from '@/shared/testing/home';
import { mount, withTexts } from '@/shared/testing/mount';
import { FakeServer, matrix, refusal } from '@/shared/testing/server';
import { HomePage } from './HomePage';

withLayout();
withTexts('home', 'hosts');

const FIXED = '/?from=now-1h&to=now&refresh=off';
let server: FakeServer;
beforeEach(() => {
  withSockets();
  liveStatus.set({ state: 'idle', lastSeenMs: 0 });
  server = new FakeServer().start();
  server.on('GET /api/ui/home', quietHome());
  server.on('POST /api/v1/query_range', matrix({ metric: { mode: 'user' }, value: (k) => k / 100 }));
});

describe('home', () => {
  it('is quiet, with proof that data arrives', async () => {
    await mount({ '/': HomePage }, FIXED);
    expect(await screen.findByText('Nothing is wrong.')).toBeTruthy();
    expect(screen.getByText(/123.*samples arriving/)).toBeTruthy();
    expect(screen.getByText('2 targets up')).toBeTruthy();
    expect(screen.getByText(/Last sample .* ago/)).toBeTruthy();
    expect(screen.getByText('This machine: web-1:9100')).toBeTruthy();
    expect(screen.getByText('Nothing has changed lately.')).toBeTruthy();
    await waitFor(() => expect(server.to('POST /api/v1/query_range').length).toBeGreaterThan(6));
    expect(lastKnownState()?.wrong).toEqual([]);
  });

  it('names what is wrong, the worst first, since when, and keeps it for the offline page', async () => {
    const down = [{ job: 'web', instance: 'web-3:80', lastError: 'connection refused', sinceMs: NOW - 90_000 }];
    const health = [
      { id: 'disk', state: 'warning' as const, message: '4 % left on /' },
      { id: 'brand_new', state: 'critical' as const, message: 'hm' },
    ];
    server.on('GET /api/ui/home', quietHome({ targets: { up: 1, down }, health, warnings: ['too many series'] }));
    await mount({ '/': HomePage }, FIXED);
    const panel = (await screen.findByText('Target down: web web-3:80')).closest('section') as HTMLElement;
    const rows = within(panel)
      .getAllByRole('listitem')
      .map((li) => li.textContent ?? '');
    expect(rows).toHaveLength(4);
    expect(rows[0]).toContain('Critical');
    expect(rows[1]).toContain('Critical');
    expect(rows.find((r) => r.includes('brand_new'))).toContain('hm');
    expect(rows.find((r) => r.includes('web-3'))).toContain('for 1 min 30 s');
    expect(rows.find((r) => r.includes('Disk space'))).toContain('Warning');
    expect(within(panel).getByText('4 things')).toBeTruthy();
    expect(lastKnownState()?.wrong.map((w) => w.level)).toContain('critical');
  });

  it('notices labels of logs that have too many values, and who sends them', async () => {
    const data = [
      {
        label: 'trace_id',
        values_today: 120_000,
        spilled: true,
        spilled_since: new Date(NOW - 60_000).toISOString(),
        sender: '10.0.0.7',
      },
      { label: 'pod', values_today: 60_000, spilled: false, sender: '' },
    ];
    server.on('GET /logs/api/v1/label_growth', { status: 'success', limit: 100_000, data });
    await mount({ '/': HomePage }, FIXED);
    const row = (await screen.findByText(/^Log label trace_id: .* new values today$/)).closest('li') as HTMLElement;
    expect(row.textContent).toContain('Warning');
    expect(row.textContent).toContain('kept with each line now');
    expect(row.textContent).toContain('10.0.0.7');
    expect(row.textContent).toContain('for 1 min');
    const soon = screen.getByText(/^Log label pod:/).closest('li') as HTMLElement;
    expect(soon.textContent).toContain('Note');
    expect(soon.textContent).not.toContain('came from');
  });

  it('stays quiet where labels cannot be asked for', async () => {
    server.on('GET /logs/api/v1/label_growth', () => refusal(403, 'forbidden', 'not you'));
    await mount({ '/': HomePage }, FIXED);
    expect(await screen.findByText('Nothing is wrong.')).toBeTruthy();
    expect(server.to('GET /logs/api/v1/label_growth').length).toBeGreaterThan(0);
  });

  it('says that what it shows may be old when the feed is silent', async () => {
    liveStatus.set({ state: 'open', lastSeenMs: Date.now() - 60_000 });
    server.on('GET /api/ui/home', quietHome({ lastSampleMs: NOW - 100_000 }));
    await mount({ '/': HomePage }, FIXED);
    expect(await screen.findByText(/data is .* old/i)).toBeTruthy();
  });

  it('teaches how to send data and turns live by itself', async () => {
    let empty = true;
    server.on('GET /api/ui/home', () => (empty ? quietHome({ lastSampleMs: 0, hosts: [] }) : quietHome()));
    await mount({ '/': HomePage }, FIXED);
    expect(await screen.findByText(/Waiting for the first sample/)).toBeTruthy();
    expect(document.querySelectorAll('pre')).toHaveLength(3);
    expect(screen.getByText(/remote_write:/).textContent).toContain(location.origin);
    empty = false;
    expect(await screen.findByText('Nothing is wrong.', {}, { timeout: 4000 })).toBeTruthy();
  });

  it('shows the busiest machines when there are several, and what changed', async () => {
    const hosts = [
      host('idle', { cpu: 0.01 }),
      host('busy', { cpu: 0.99 }),
      host('gone', { lastSeenMs: null, cpu: null }),
    ];
    const events = [
      { timeMs: NOW - 1000, kind: 'tocayo.start', title: 'Tocayo 0.1 started', detail: 'listening on 127.0.0.1:1' },
      { timeMs: NOW - 90_000_000, kind: 'config.reload', title: 'reloaded', detail: '' },
      { timeMs: NOW - 2000, kind: 'deploy', title: 'web v7', detail: 'by ci' },
    ];
    server.on('GET /api/ui/home', quietHome({ hosts, events }));
    await mount({ '/': HomePage }, FIXED);
    const table = await screen.findByRole('table');
    expect(
      within(table)
        .getAllByRole('link')
        .map((a) => a.textContent),
    ).toEqual(['busy', 'idle', 'gone']);
    expect(screen.getByText('Tocayo 0.1 started')).toBeTruthy();
    expect(screen.getByText('listening on 127.0.0.1:1')).toBeTruthy();
    expect(screen.getByText('Configuration reloaded')).toBeTruthy();
    expect(screen.getByText('web v7')).toBeTruthy();
  });

  it('asks for its charts over one socket when it is live', async () => {
    await mount({ '/': HomePage });
    await screen.findByText('Nothing is wrong.');
    await waitFor(() => expect(FakeSocket.all).toHaveLength(1));
    const [socket] = FakeSocket.all as [FakeSocket];
    act(() => socket.open());
    const subs = socket.sent.filter((m) => m.op === 'sub');
    expect(subs.length).toBeGreaterThan(6);
    act(() =>
      socket.say({ op: 'err', id: subs[0]?.id, code: 'bad_data', message: 'no such function', retryable: false }),
    );
    expect(server.to('POST /api/v1/query_range')).toHaveLength(0);
  });

  it('says so when the server made a mistake, and goes on after another try', async () => {
    let down = true;
    server.on('GET /api/ui/home', () => (down ? refusal(500, 'internal', 'a disk fell over') : quietHome()));
    await mount({ '/': HomePage }, FIXED);
    expect(await screen.findByText('a disk fell over')).toBeTruthy();
    down = false;
    act(() => screen.getByRole('button', { name: 'Try again' }).click());
    expect(await screen.findByText('Nothing is wrong.')).toBeTruthy();
  });
});
