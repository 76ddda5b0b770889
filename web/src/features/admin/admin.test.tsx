// SPDX-License-Identifier: Apache-2.0
import { fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { boot } from '@/shared/api/boot';
import { withLayout } from '@/shared/testing/dom';
import { mount, withTexts } from '@/shared/testing/mount';
import { FakeServer, prom, refusal } from '@/shared/testing/server';
import { AboutPage } from './AboutPage';
import { AdminLayout } from './AdminLayout';
import { AuditPage } from './AuditPage';
import { TenantsPage } from './TenantsPage';
import { TokensPage } from './TokensPage';
import { UsersPage } from './UsersPage';

withLayout();
withTexts('admin');

const API = '/tenancy/api/v1';
const ANA = { id: 1, login: 'ana', name: 'Ana', instanceAdmin: true, disabled: false, roles: {}, lastLoginMs: null };
const BEA = {
  id: 2,
  login: 'bea',
  name: 'Bea',
  instanceAdmin: false,
  disabled: true,
  roles: { blue: 'editor' },
  lastLoginMs: 1_795_516_320_000,
};
const BLUE = { name: 'blue', displayName: 'Team Blue', createdMs: 1_795_516_320_000 };

let server: FakeServer;
beforeEach(() => {
  server = new FakeServer().start();
  server.on(`GET ${API}/users`, [ANA, BEA]).on(`GET ${API}/tenants`, [BLUE]).on(`GET ${API}/tokens`, []);
});

const field = (label: string | RegExp) => screen.getByLabelText(label, { selector: 'input' });
const type = (label: string | RegExp, text: string) => fireEvent.change(field(label), { target: { value: text } });
const press = (name: string | RegExp, within_: HTMLElement = document.body) =>
  fireEvent.click(within(within_).getByRole('button', { name }));
const dialog = () => screen.findByRole('dialog');

describe('users', () => {
  it('lists who there is, what they may and whether they can sign in', async () => {
    await mount({ '/': UsersPage });
    const row = (await screen.findByText('bea')).closest('tr') as HTMLElement;
    expect(within(row).getByText('Editor in blue')).toBeTruthy();
    expect(within(row).getByText('Disabled')).toBeTruthy();
    expect(within(row).getByText('2026-11-24 10:32:00')).toBeTruthy();
    const own = screen.getByText('ana').closest('tr') as HTMLElement;
    expect(within(own).getByText('Administrator of the whole instance')).toBeTruthy();
    expect(within(own).getByText('Never')).toBeTruthy();
    expect(screen.getByText(/Sign-in is off on this server/)).toBeTruthy();
  });

  it('makes one: what was typed is sent, the list is read again and the address is as before', async () => {
    server.on(`POST ${API}/users`, ANA);
    const page = await mount({ '/': UsersPage });
    await screen.findByText('bea');
    press('Add user');
    const box = await dialog();
    expect(page.search()).toEqual({ edit: 'new' });
    const create = within(box).getByRole('button', { name: 'Create' }) as HTMLButtonElement;
    type('User name', 'carla');
    expect(create.disabled).toBe(true);
    type('Password', 'long enough!');
    fireEvent.click(await within(box).findByLabelText('Viewer'));
    expect(create.disabled).toBe(false);
    fireEvent.submit(create.closest('form') as HTMLFormElement);
    await waitFor(() => expect(server.to(`POST ${API}/users`)).toHaveLength(1));
    expect(server.to(`POST ${API}/users`)[0]?.json).toEqual({
      login: 'carla',
      name: 'carla',
      password: 'long enough!',
      instanceAdmin: false,
      roles: { blue: 'viewer' },
    });
    await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
    expect(page.search()).toEqual({});
    await waitFor(() => expect(server.to(`GET ${API}/users`)).toHaveLength(2));
  });

  it('changes one from a link, and says why when it is refused', async () => {
    server.on(`PATCH ${API}/users/:id`, () => refusal(409, 'conflict', 'the last administrator must stay'));
    await mount({ '/': UsersPage }, '/?edit=2');
    const box = await dialog();
    expect((field('User name') as HTMLInputElement).disabled).toBe(true);
    fireEvent.click(within(box).getByLabelText('Disabled: cannot sign in'));
    fireEvent.click(await within(box).findByLabelText('None'));
    fireEvent.submit(box.querySelector('form') as HTMLFormElement);
    expect(await within(box).findByText('the last administrator must stay')).toBeTruthy();
    // No password was typed, so none is sent: the old one stays.
    expect(server.to(`PATCH ${API}/users/2`)[0]?.json).toEqual({
      name: 'Bea',
      instanceAdmin: false,
      disabled: false,
      roles: {},
    });
  });

  it('deletes only after a second thought, and nobody deletes themselves', async () => {
    server.on(`DELETE ${API}/users/:id`, undefined);
    boot.user = { id: 1, login: 'ana', name: 'Ana', role: 'admin', instanceAdmin: true };
    try {
      await mount({ '/': UsersPage });
      await screen.findByText('bea');
      expect((screen.getByRole('button', { name: 'Delete ana' }) as HTMLButtonElement).disabled).toBe(true);
      press('Delete bea');
      press('Cancel', await dialog());
      expect(server.to(`DELETE ${API}/users/2`)).toHaveLength(0);
      press('Delete bea');
      press('Delete', await dialog());
      await waitFor(() => expect(server.to(`DELETE ${API}/users/2`)).toHaveLength(1));
      await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
    } finally {
      boot.user = null;
    }
  });

  it('says who can help somebody that may not see them, and offers no button that would fail', async () => {
    server.on(`GET ${API}/users`, () => refusal(403, 'forbidden', 'not you'));
    await mount({ '/': UsersPage });
    expect(await screen.findByText('You may not see this.')).toBeTruthy();
    expect(screen.queryByRole('button', { name: 'Add user' })).toBeNull();
  });
});

describe('tokens', () => {
  it('show their secret once, with the chosen rights and lifetime', async () => {
    server.on(`POST ${API}/tokens`, { id: 9, token: 'toc_s3cret' });
    await mount({ '/': TokensPage }, '/?edit=new');
    const box = await dialog();
    type('Name', 'edge');
    fireEvent.click(within(box).getByLabelText('Read metrics'));
    fireEvent.click(within(box).getByLabelText('30 days'));
    const before = Date.now();
    fireEvent.submit(box.querySelector('form') as HTMLFormElement);
    expect(await screen.findByText('toc_s3cret')).toBeTruthy();
    expect(screen.getByText('Copy it now: it is shown only this once.')).toBeTruthy();
    const sent = server.to(`POST ${API}/tokens`)[0]?.json as { scopes: string[]; expiresMs: number; name: string };
    expect(sent.name).toBe('edge');
    expect([...sent.scopes].sort()).toEqual(['logs:write', 'metrics:read', 'metrics:write']);
    expect(Math.round((sent.expiresMs - before) / 86_400_000)).toBe(30);
    const done = within(await dialog()).getByText('Close');
    fireEvent.click(done);
    await waitFor(() => expect(screen.queryByText('toc_s3cret')).toBeNull());
  });

  it('need a name and a right, and one that lives for ever has no end', async () => {
    server.on(`POST ${API}/tokens`, { id: 9, token: 'toc_s3cret' });
    await mount({ '/': TokensPage }, '/?edit=new');
    const box = await dialog();
    const create = within(box).getByRole('button', { name: 'Create' }) as HTMLButtonElement;
    type('Name', 'ci');
    expect(create.disabled).toBe(false);
    for (const right of ['Write metrics', 'Write logs']) fireEvent.click(within(box).getByLabelText(right));
    expect(create.disabled).toBe(true);
    fireEvent.click(within(box).getByLabelText('Administer'));
    fireEvent.click(within(box).getByLabelText('Never'));
    fireEvent.submit(box.querySelector('form') as HTMLFormElement);
    await waitFor(() => expect(server.to(`POST ${API}/tokens`)).toHaveLength(1));
    expect(server.to(`POST ${API}/tokens`)[0]?.json).toEqual({ name: 'ci', tenant: boot.tenant, scopes: ['admin'] });
  });

  it('that are over are marked, and revoking asks first', async () => {
    const token = {
      id: 5,
      name: 'old',
      tenant: 'blue',
      scopes: ['admin'],
      createdMs: 1,
      lastUsedMs: null,
      expiresMs: 2,
    };
    server.on(`GET ${API}/tokens`, [token, { ...token, id: 6, name: 'new', expiresMs: null }]);
    server.on(`DELETE ${API}/tokens/:id`, undefined);
    await mount({ '/': TokensPage });
    const row = (await screen.findByText('old')).closest('tr') as HTMLElement;
    expect(within(row).getByText('Expired')).toBeTruthy();
    press('Revoke old');
    expect(await screen.findByText('Whatever uses this token is refused from now on.')).toBeTruthy();
    press('Delete', await dialog());
    await waitFor(() => expect(server.to(`DELETE ${API}/tokens/5`)).toHaveLength(1));
  });
});

describe('tenants', () => {
  it('take a name that can be sent in a header only', async () => {
    server.on(`POST ${API}/tenants`, BLUE);
    await mount({ '/': TenantsPage }, '/?edit=new');
    const box = await dialog();
    const create = within(box).getByRole('button', { name: 'Create' }) as HTMLButtonElement;
    type('Name', 'a b');
    expect(create.disabled).toBe(true);
    expect(within(box).getByText(/only$/)).toBeTruthy();
    type('Name', 'red');
    type('Display name', 'Team Red');
    fireEvent.submit(create.closest('form') as HTMLFormElement);
    await waitFor(() =>
      expect(server.to(`POST ${API}/tenants`)[0]?.json).toEqual({ name: 'red', displayName: 'Team Red' }),
    );
  });

  it('are deleted by their name, and a refusal stays in the box', async () => {
    server.on(`DELETE ${API}/tenants/:name`, () => refusal(409, 'conflict', 'it still has tokens'));
    await mount({ '/': TenantsPage });
    await screen.findByText('Team Blue');
    press('Delete tenant blue');
    press('Delete', await dialog());
    expect(await screen.findByText('it still has tokens')).toBeTruthy();
    expect(server.to(`DELETE ${API}/tenants/blue`)).toHaveLength(1);
  });
});

describe('the audit log', () => {
  const entry = (id: number) => ({
    id,
    timeMs: 1000 * id,
    actor: `p${id}`,
    action: 'user.create',
    target: 'x',
    tenant: '',
    detail: '',
  });

  it('reads older entries from where the last page ended', async () => {
    server.on(`GET ${API}/audit`, ({ params }: { params: URLSearchParams }) => {
      const before = Number(params.get('before') ?? 101);
      return Array.from({ length: Math.min(50, before - 31) }, (_, k) => entry(before - 1 - k));
    });
    await mount({ '/': AuditPage });
    await screen.findByText('p100');
    expect(screen.queryByText('p50')).toBeNull();
    press(/more/i);
    await screen.findByText('p50');
    expect(server.to(`GET ${API}/audit`).map((a) => a.params.get('before'))).toEqual([null, '51']);
    // 20 entries are fewer than a page: there is nothing older.
    await waitFor(() => expect(screen.queryByRole('button', { name: /more/i })).toBeNull());
  });

  it('says so when nothing has been recorded', async () => {
    server.on(`GET ${API}/audit`, []);
    await mount({ '/': AuditPage });
    expect(await screen.findByText('Nothing has been recorded yet.')).toBeTruthy();
  });
});

describe('about', () => {
  const home = {
    health: [
      { id: 'wal', state: 'ok', message: '3 MB' },
      { id: 'new', state: 'warning', message: 'hm' },
    ],
    self: { uptimeSeconds: 3661 },
  };

  it('shows health, storage and licences', async () => {
    server
      .on('GET /api/ui/home', home)
      .on('GET /api/v1/status/buildinfo', prom({ version: '3.1.0' }))
      .on('GET /api/v1/status/runtimeinfo', prom({ storageRetention: '15d' }))
      .on(
        'GET /api/v1/status/tsdb',
        prom({ headStats: { numSeries: 1234, chunkCount: 5, numLabelPairs: 6, minTime: 1_795_516_320_000 } }),
      );
    await mount({ '/': AboutPage });
    expect(await screen.findByText('Journal')).toBeTruthy();
    // A check that this page has no name for is shown all the same.
    expect(screen.getByText('new')).toBeTruthy();
    expect(await screen.findByText('1,234')).toBeTruthy();
    expect(await screen.findByText('15d')).toBeTruthy();
    expect(screen.getByText('3.1.0')).toBeTruthy();
    expect(screen.getByText(/^react \d/)).toBeTruthy();
  });

  it('keeps its other parts when storage cannot be read', async () => {
    server
      .on('GET /api/ui/home', { ...home, health: [] })
      .on('GET /api/v1/status/tsdb', () => refusal(500, 'internal', 'a disk fell over'));
    await mount({ '/': AboutPage });
    expect(await screen.findByText('a disk fell over')).toBeTruthy();
    expect(screen.getByText('The server reports no checks.')).toBeTruthy();
  });

  it('is one of five tabs', async () => {
    await mount({ '/admin': AdminLayout }, '/admin');
    const tabs = screen.getByRole('navigation', { name: 'Admin' });
    expect(
      within(tabs)
        .getAllByRole('link')
        .map((a) => a.getAttribute('href')),
    ).toEqual(['about', 'users', 'tokens', 'tenants', 'audit'].map((x) => `/admin/${x}`));
  });
});
