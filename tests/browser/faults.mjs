// SPDX-License-Identifier: Apache-2.0
// What the page does when something fails: the server is killed, the session ends, the network is bad, a chunk is gone.
import { assert, chartDrawn, close, exploreUrl, open, until } from './lib.mjs';
import { LOGIN, Server } from './server.mjs';
import { enter } from './signin.mjs';

const NETWORK = [/Failed to load resource/, /WebSocket connection/, /ERR_/, /net::/];

async function query(server, expr) {
  const answer = await fetch(`${server.url}/api/v1/query?query=${encodeURIComponent(expr)}`);
  return (await answer.json()).data?.result?.[0]?.value?.[1];
}

async function killAndRecover(browser, { binary }) {
  const server = await new Server('killed', binary).start();
  const s = await open(browser, server.url, '/explore', { allow: NETWORK });
  const editor = s.page.locator('.cm-content').first();
  await until('the editor is there', () => editor.isVisible());
  await editor.click();
  await s.page.keyboard.insertText('count(up) +');
  await s.page.keyboard.press('Escape');
  const seenMs = await until('a sample is acknowledged', async () => {
    const ms = Date.now() - 1500;
    return (await query(server, `node_load1 @ ${ms / 1000}`)) === undefined ? null : ms;
  });
  const before = await query(server, `node_load1 @ ${seenMs / 1000}`);

  await server.kill();
  const banner = s.page.getByText(/Next try in/).first();
  await s.page.keyboard.press('Shift+Enter');
  await until('the banner says so', () => banner.isVisible());
  assert((await editor.innerText()).includes('count(up) +'), 'the typed query is gone');

  await server.start();
  await until('the banner goes by itself', async () => !(await banner.isVisible()));
  assert((await editor.innerText()).includes('count(up) +'), 'the typed query is gone after the restart');
  assert((await query(server, `node_load1 @ ${seenMs / 1000}`)) === before, 'a sample from before is gone');
  await editor.click();
  await s.page.keyboard.press('Control+End');
  await s.page.keyboard.insertText(' 0');
  await s.page.keyboard.press('Escape');
  // The server is seconds old: run again until a step of the range lies in them.
  await until('a chart', async () => {
    await s.page.keyboard.press('Shift+Enter');
    return (await s.page.locator('[class*="legendItem"]').count()) > 0;
  });
  await close(s);
}

async function liveAfterKill(browser, { binary }) {
  const server = await new Server('killed-live', binary).start();
  const s = await open(browser, server.url, '/', { allow: NETWORK });
  const fresh = s.page.getByText(/Last sample/).first();
  await until('live data', () => fresh.isVisible());
  await server.kill();
  await until('stale data is called stale', () => s.page.getByText(/Data is .* old/).first().isVisible());
  await server.start();
  await until('live again without a reload', () => fresh.isVisible());
  assert((await s.page.evaluate(() => performance.getEntriesByType('navigation').length)) === 1, 'it was reloaded');
  await close(s);
}

async function sessionEnds(browser, { authBase }) {
  const s = await enter(browser, authBase, '/admin/tenants', { allow: [/status of 401/] });
  await s.page.getByRole('button', { name: 'Add tenant' }).click();
  const name = () => s.page.locator('dialog input').first();
  await until('the form', () => name().isVisible());
  await name().fill('half-typed');
  await s.page.locator('dialog input').nth(1).fill('A name that took thought');
  const cookie = (await s.context.cookies()).map((c) => `${c.name}=${c.value}`).join('; ');
  const out = await fetch(`${authBase}/api/ui/logout`, {
    method: 'POST',
    headers: { Cookie: cookie, 'X-Tocayo-Csrf': '1', Origin: authBase },
  });
  assert(out.ok, `the session could not be ended: ${out.status}`);
  await s.page.locator('dialog button[type="submit"]').click();
  await until('the door says why', () => s.page.getByText(/Your session has ended/).isVisible());
  await s.page.getByLabel('User name').fill(LOGIN.login);
  await s.page.getByLabel('Password', { exact: true }).fill(LOGIN.password);
  await s.page.getByRole('button', { name: 'Sign in' }).click();
  await until('the form is back', () => name().isVisible());
  await until('the text is back', async () => (await name().inputValue()) === 'half-typed');
  assert((await s.page.locator('dialog input').nth(1).inputValue()) === 'A name that took thought', 'second field');
  assert(await s.page.getByText('What you had typed is back.').isVisible(), 'it does not say so');
  await s.page.reload();
  await until('it survives a reload', async () => (await name().inputValue()) === 'half-typed');
  await s.page.locator('dialog').getByRole('button', { name: 'Cancel' }).click();
  await s.page.getByRole('button', { name: 'Add tenant' }).click();
  await until('the form', () => name().isVisible());
  // The draft would be read at once; the tenants request after it proves that time has passed.
  await s.page.evaluate(() => fetch('/tenancy/api/v1/tenants').then((r) => r.text()));
  assert((await name().inputValue()) === '', 'a cancelled draft came back');
  await close(s);
}

async function chunkGone(browser, { base }) {
  let refused = 0;
  const s = await open(browser, base, '/admin/about', {
    allow: [/404/],
    prepare: (page) =>
      page.route(/assets\/UsersPage-/, (route) => {
        refused += 1;
        return refused === 1 ? route.fulfill({ status: 404, body: '' }) : route.continue();
      }),
  });
  await s.page.getByRole('link', { name: 'Users', exact: true }).click();
  await until('the page asked for is shown after one reload', () => s.page.locator('h2', { hasText: 'Users' }).isVisible());
  assert(refused === 2, `the chunk was asked for ${refused} times`);
  await close(s);
}

async function partGone(browser, { base }) {
  let refused = 0;
  const s = await open(browser, base, '/explore', {
    allow: [/404/],
    prepare: (page) =>
      page.route(/assets\/PromEditor-.*js/, (route) => {
        refused += 1;
        return refused === 1 ? route.fulfill({ status: 404, body: '' }) : route.continue();
      }),
  });
  await until('the editor is there after one reload', () => s.page.locator('.cm-content').first().isVisible());
  assert(refused === 2, `the part was asked for ${refused} times`);
  await close(s);
}

async function chunkGoneForGood(browser, { base }) {
  let loads = 0;
  const s = await open(browser, base, '/admin/about', {
    allow: [/404/, /dynamically imported/, /could not be loaded/],
    prepare: async (page) => {
      await page.route(/assets\/AuditPage-/, (route) => route.fulfill({ status: 404, body: '' }));
      page.on('load', () => (loads += 1));
    },
  });
  await s.page.getByRole('link', { name: 'Audit log', exact: true }).click();
  await until('it says so, with a way on', () => s.page.getByRole('button', { name: 'Try again' }).isVisible());
  assert(loads <= 2, `${loads} loads`);
  await close(s);
}

async function offlinePage(browser, { binary }) {
  const server = await new Server('offline', binary).start();
  const s = await open(browser, server.url, '/', { allow: [...NETWORK, /503/], workers: 'allow' });
  await until('the worker has the page', () => s.page.evaluate(() => navigator.serviceWorker.controller !== null));
  await until('a state is known', () => s.page.evaluate(() => localStorage.getItem('tocayo.last-known') !== null));
  const kept = await s.page.evaluate(async () => {
    const urls = [];
    for (const name of await caches.keys())
      for (const request of await (await caches.open(name)).keys()) urls.push(new URL(request.url).pathname);
    return urls;
  });
  const foreign = kept.filter((path) => !path.startsWith('/assets/') && path !== '/offline.html');
  assert(kept.length > 5 && foreign.length === 0, `the worker keeps ${foreign.join(', ') || 'too little'}`);
  await server.kill();
  await s.page.goto(`${server.url}/hosts`);
  await until('the offline page', () => s.page.getByRole('heading', { name: 'Tocayo does not answer' }).isVisible());
  assert(await s.page.getByText(/as of .* ago/).isVisible(), 'the last known state has no age');
  await server.start();
  await until('the page asked for comes by itself', () => s.page.getByRole('heading', { name: 'Hosts' }).first().isVisible());
  await close(s);
}

async function installable(browser, { base }) {
  const s = await open(browser, base, '/login');
  const manifest = await s.page.evaluate(async () => {
    const href = document.querySelector('link[rel="manifest"]').href;
    const value = await (await fetch(href)).json();
    const sizes = [];
    for (const icon of value.icons) {
      const image = new Image();
      image.src = new URL(icon.src, href).href;
      await image.decode();
      sizes.push(`${image.naturalWidth}x${image.naturalHeight} ${icon.sizes} ${icon.purpose}`);
    }
    return { ...value, sizes, start: new URL(value.start_url, href).href };
  });
  assert(manifest.display === 'standalone' && manifest.start === `${base}/`, JSON.stringify(manifest));
  for (const size of ['192x192', '512x512'])
    for (const purpose of ['any', 'maskable'])
      assert(manifest.sizes.includes(`${size} ${size} ${purpose}`), `no ${purpose} icon of ${size}`);
  await close(s);
}

async function underSubPath(browser, { binary }) {
  const server = await new Server('sub-path', binary, ['--set', 'server.base_path=/watch']).start();
  const base = `${server.url}/watch`;
  const s = await open(browser, base, '/', { workers: 'allow' });
  await until('live data', () => s.page.getByText(/Last sample/).first().isVisible());
  await until('the worker has the page', () => s.page.evaluate(() => navigator.serviceWorker.controller !== null));
  await s.page.getByRole('link', { name: 'Hosts' }).first().click();
  await until('its own address', () => new URL(s.page.url()).pathname === '/watch/hosts');
  await s.page.reload();
  await until('the same page after a reload', () => s.page.locator('tbody a').first().isVisible());
  assert((await s.page.locator('tbody a').first().getAttribute('href')).startsWith('/watch/hosts/'), 'a link leaves the path');
  await close(s);
}

async function slowNetwork(browser, { base }) {
  const s = await open(browser, base, '/', {
    prepare: async (page, context) => {
      const cdp = await context.newCDPSession(page);
      await cdp.send('Network.enable');
      const rate = (400 * 1024) / 8;
      await cdp.send('Network.emulateNetworkConditions', {
        offline: false,
        latency: 400,
        downloadThroughput: rate,
        uploadThroughput: rate,
      });
    },
  });
  await chartDrawn(s.page);
  await close(s);
}

async function lossyNetwork(browser, { base }) {
  let asked = 0;
  const s = await open(browser, base, exploreUrl(['up']), {
    allow: NETWORK,
    prepare: (page) =>
      page.route(/\/api\//, (route) => {
        asked += 1;
        return asked % 3 === 0 ? route.abort('connectionreset') : route.continue();
      }),
  });
  await until('a result, or an error with a way on', async () => {
    const again = s.page.getByRole('button', { name: 'Try again' }).first();
    if (await again.isVisible()) await again.click();
    return s.page.evaluate(() => document.querySelectorAll('[class*="legendItem"]').length > 0);
  });
  await close(s);
}

export const faultChecks = [
  { name: 'fault: kill -9 in the middle of a session, typed text and samples stay', run: killAndRecover },
  { name: 'fault: kill -9, the live page says stale and goes on by itself', run: liveAfterKill },
  { name: 'fault: the session ends with unsaved edits', run: sessionEnds },
  { name: 'fault: a chunk is gone after an upgrade, one reload', run: chunkGone },
  { name: 'fault: a part of a page is gone after an upgrade, one reload', run: partGone },
  { name: 'fault: a chunk stays gone, no loop', run: chunkGoneForGood },
  { name: 'fault: offline page with the last known state, no API answer kept', run: offlinePage },
  { name: 'fault: slow 3G', run: slowNetwork, data: true },
  { name: 'fault: every third request is lost', run: lossyNetwork, data: true },
  { name: 'app: manifest and icons', run: installable },
  { name: 'app: under a sub-path, with its service worker', run: underSubPath },
];
