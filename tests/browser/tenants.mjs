// SPDX-License-Identifier: Apache-2.0
// Several tenants on one server: what the page shows is of the tenant that was chosen, its sockets included, and nobody
// reads what is not his.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { assert, close, exploreUrl, open, until } from './lib.mjs';
import { Server } from './server.mjs';
import { enter } from './signin.mjs';

const VIEWER = { login: 'vi', password: 'long enough for vi' };

async function ask(page, method, path, body, tenant) {
  const answer = await page.evaluate(
    async ([how, where, what, whose]) => {
      const headers = { 'Content-Type': 'application/json', 'X-Tocayo-Csrf': '1', ...(whose ? { 'X-Scope-OrgID': whose } : {}) };
      const got = await fetch(where, { method: how, headers, ...(what === null ? {} : { body: JSON.stringify(what) }) });
      return { status: got.status, text: await got.text() };
    },
    [method, path, body, tenant],
  );
  assert(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text}`);
}

const say = (page, tenant, text) =>
  ask(
    page,
    'POST',
    '/loki/api/v1/push',
    { streams: [{ stream: { service_name: 'shared' }, values: [[String(BigInt(Date.now()) * 1_000_000n), text]] }] },
    tenant,
  );

const tailUrl = `/explore?schemaVersion=1&panes=${encodeURIComponent(
  JSON.stringify({
    a: {
      datasource: 'logs',
      queries: [{ refId: 'A', expr: '{service_name="shared"}', datasource: { type: 'loki', uid: 'logs' } }],
      range: { from: 'now-1h', to: 'now' },
    },
  }),
)}`;

/** What becomes of a socket of this page: opened, or closed before it was. */
const socket = (page, path) =>
  page.evaluate(
    (where) =>
      new Promise((resolve) => {
        const url = new URL(where, location.href);
        url.protocol = 'ws:';
        const s = new WebSocket(url);
        s.onopen = () => {
          s.close();
          resolve('open');
        };
        s.onerror = () => resolve('refused');
      }),
    path,
  );

async function socketsOfTheChosen(browser, { binary }) {
  const server = await new Server('tenants', binary, ['--set', 'auth.mode=required']).start();
  await server.setUp();
  const s = await enter(browser, server.url, '/admin/tenants');
  const { page } = s;
  await ask(page, 'POST', '/tenancy/api/v1/tenants', { name: 'team-a' });
  await ask(page, 'POST', '/tenancy/api/v1/tenants', { name: 'team-b' });
  await ask(page, 'POST', '/tenancy/api/v1/users', { name: 'Vi', ...VIEWER, roles: { 'team-a': 'viewer' } });
  await say(page, 'team-a', 'of team a');
  await say(page, 'team-b', 'of team b');

  // The admin chooses a tenant; the live socket and the tail follow.
  const opened = [];
  page.on('websocket', (ws) => opened.push(new URL(ws.url())));
  await page.goto(server.url + tailUrl);
  await page.getByRole('button', { name: /^Tenant: / }).click();
  await page.getByRole('button', { name: 'team-b', exact: true }).click();
  const line = (text) => page.locator('section[aria-label="Log lines"] li').getByText(text, { exact: true });
  await until('lines of the chosen tenant', () => line('of team b').isVisible());
  await page.getByRole('button', { name: 'Live tail' }).click();
  await until('the tail is of the chosen tenant', () =>
    opened.some((url) => url.pathname.endsWith('/tail') && url.searchParams.get('tenant') === 'team-b'),
  );
  await say(page, 'team-a', 'new of team a');
  await say(page, 'team-b', 'new of team b');
  await until('a line that arrives', () => line('new of team b').isVisible());
  assert(!(await line('new of team a').isVisible()) && !(await line('of team a').isVisible()), 'lines of another tenant');
  // A short link of the chosen tenant leads to its page, though a browser that follows it names no tenant.
  const uid = await page.evaluate(async () => {
    const answer = await fetch('/api/short-urls', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Tocayo-Csrf': '1', 'X-Scope-OrgID': 'team-b' },
      body: JSON.stringify({ path: 'hosts?q=of-team-b' }),
    });
    return (await answer.json()).uid;
  });
  await page.goto(`${server.url}/goto/${uid}`);
  assert(new URL(page.url()).searchParams.get('q') === 'of-team-b', page.url());
  const now = Date.now() / 1000;
  await page.evaluate(
    (text) =>
      fetch('/api/v1/import/prometheus', { method: 'POST', body: text, headers: { 'X-Scope-OrgID': 'team-b', 'X-Tocayo-Csrf': '1' } }),
    `only_in_b 7 ${Math.floor(now * 1000)}\n`,
  );
  await page.goto(`${server.url}${exploreUrl(['only_in_b'])}&refresh=live`);
  await until('its live series', () => page.locator('[class*="legendItem"]').getByText(/only_in_b/).first().isVisible());
  assert(opened.some((url) => url.pathname.endsWith('/ws') && url.searchParams.get('tenant') === 'team-b'), 'live socket');
  await close(s);

  // A viewer of one tenant reads it and no other, by whatever socket.
  const v = await open(browser, server.url, '/me', { allow: [/WebSocket connection/, /status of 40[134]/] });
  await v.page.getByLabel('User name').fill(VIEWER.login);
  await v.page.getByLabel('Password', { exact: true }).fill(VIEWER.password);
  await v.page.getByRole('button', { name: 'Sign in' }).click();
  await until('signed in', () => v.page.getByRole('heading', { name: 'Profile' }).isVisible());
  const strange = await v.page.evaluate((id) => fetch(`/goto/${id}`).then((answer) => answer.status), uid);
  assert(strange === 404, `a short link of another tenant: ${strange}`);
  const query = encodeURIComponent('{service_name="shared"}');
  for (const path of ['/api/live/v1/ws?', `/loki/api/v1/tail?query=${query}&`]) {
    assert((await socket(v.page, `${path}tenant=team-a`)) === 'open', `${path} of the own tenant`);
    assert((await socket(v.page, `${path}tenant=team-b`)) === 'refused', `${path} of another tenant`);
  }
  await v.page.goto(server.url + tailUrl);
  const seen = v.page.locator('section[aria-label="Log lines"] li');
  await until('lines of the own tenant', () => seen.getByText('of team a', { exact: true }).isVisible());
  assert(!(await seen.getByText(/of team b/).first().isVisible()), 'lines of another tenant');
  await close(v);
}

/** One series fetched is too many here: the parts of Home that need more say so, and a live chart does. */
async function limitsAreSaid(browser, { binary }) {
  const file = join(mkdtempSync(join(tmpdir(), 'tocayo-overrides-')), 'overrides.yaml');
  writeFileSync(file, 'overrides:\n  anonymous:\n    max_fetched_series_per_query: 1\n');
  const server = await new Server('limits', binary, ['--set', `overrides_file=${file}`]).start();
  try {
    await until('samples', async () => (await (await fetch(`${server.url}/api/ui/home`)).json()).lastSampleMs > 0);
    const s = await open(browser, server.url, '/', { allow: [/status of 422/] });
    await until('Home says it', () => s.page.getByText('Part of this page is over a limit of the tenant').first().isVisible());
    assert(await s.page.getByText(/maximum number of series \(limit: 1 series\)/).first().isVisible(), 'without the reason');
    await s.page.goto(`${server.url}${exploreUrl(['node_cpu_seconds_total'])}&refresh=live`);
    await until('the live chart says it', () => s.page.getByText(/limit: 1 series/).first().isVisible());
    await close(s);
  } finally {
    rmSync(dirname(file), { recursive: true, force: true });
  }
}

export const tenantChecks = [
  { name: 'tenants: a limit of reads is said on Home and on a live chart', run: limitsAreSaid },
  { name: 'tenants: sockets are of the chosen one, and nobody reads another', run: socketsOfTheChosen },
];
