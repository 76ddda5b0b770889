// SPDX-License-Identifier: Apache-2.0
// The states of every region that shows data: loading, error, forbidden, empty, partial. (Stale is in faults.mjs.) The
// server's answers are held back or replaced on their way.
import { assert, axe, close, exploreUrl, open, until } from './lib.mjs';

const REGIONS = [
  { name: 'home', path: '/', api: /\/api\/ui\/home/, good: (p) => p.getByText(/Last sample/).first() },
  { name: 'hosts', path: '/hosts', api: /\/api\/ui\/home/, good: (p) => p.locator('tbody td').first() },
  { name: 'users', path: '/admin/users', api: /v1\/users/, good: (p) => p.getByText(/no users yet/).first() },
  { name: 'tokens', path: '/admin/tokens', api: /v1\/tokens/, good: (p) => p.getByText(/no tokens yet/i).first() },
  { name: 'tenants', path: '/admin/tenants', api: /v1\/tenants/, good: (p) => p.locator('tbody td').first() },
  { name: 'audit', path: '/admin/audit', api: /v1\/audit/, good: (p) => p.locator('main section p, tbody td').first() },
  { name: 'storage', path: '/admin/about', api: /status\/tsdb/, good: (p) => p.getByText('Series in memory') },
  { name: 'chart', path: '/?from=now-1h&to=now&refresh=off', api: /query_range/, good: (p) => p.locator('figure').first() },
];

const fail = (status, code, message) => (route) =>
  route.fulfill({
    status,
    headers: { 'Content-Type': 'application/json', 'X-Request-Id': 'r-42' },
    body: JSON.stringify({ code, message, params: {} }),
  });

function loading(region) {
  return async (browser, { base }) => {
    const held = [];
    let released = false;
    const s = await open(browser, base, region.path, {
      prepare: (page) => page.route(region.api, (route) => (released ? route.continue() : held.push(route))),
    });
    const said = s.page.getByText('Loading…').first();
    await until('it says that it loads', () => said.isVisible());
    const skeletons = await s.page.locator('main [aria-busy="true"]').count();
    assert(skeletons > 0, 'nothing is marked as busy');
    released = true;
    for (const route of held) await route.continue();
    await until('the data', () => region.good(s.page).isVisible());
    await close(s);
  };
}

function broken(region) {
  return async (browser, { base }) => {
    let down = true;
    const s = await open(browser, base, region.path, {
      allow: [/status of 500/],
      prepare: (page) =>
        page.route(region.api, (route) => (down ? fail(500, 'internal', 'a disk fell over')(route) : route.continue())),
    });
    await until('a plain sentence', () => s.page.getByText('The server made a mistake').first().isVisible());
    assert(await s.page.getByText('a disk fell over').first().isVisible(), 'the cause is missing');
    assert(await s.page.getByRole('button', { name: 'Copy details' }).first().isVisible(), 'no details to copy');
    assert(await s.page.getByText('What the server sent').first().isVisible(), 'the raw answer is missing');
    const found = await axe(s.page);
    assert(found.length === 0, found.join(' | '));
    down = false;
    const again = s.page.getByRole('button', { name: 'Try again' });
    // Some regions ask again by themselves; the button then goes, also between the look at it and the click.
    for (let n = await again.count(); n > 0; n--)
      if (await again.first().isVisible()) await again.first().click({ timeout: 20_000 }).catch(() => undefined);
    await until('the data after another try', () => region.good(s.page).isVisible());
    await close(s);
  };
}

function forbidden(region) {
  return async (browser, { base }) => {
    const s = await open(browser, base, region.path, {
      allow: [/status of 403/],
      prepare: (page) => page.route(region.api, fail(403, 'forbidden', 'not you')),
    });
    await until('it says so', () => s.page.getByText('You may not see this.').first().isVisible());
    assert(await s.page.getByText(/administrator/i).first().isVisible(), 'it does not say who can grant it');
    await close(s);
  };
}

const others = [
  {
    name: 'state: hosts, the filter hides all, one click shows them',
    run: async (browser, { base }) => {
      const s = await open(browser, base, '/hosts?q=no-such-host');
      await until('it says why', () => s.page.getByText(/filter/i).nth(1).isVisible());
      await s.page.locator('main section').getByRole('button').last().click();
      await until('they are back', () => s.page.locator('tbody td').first().isVisible());
      await close(s);
    },
  },
  {
    name: 'state: home before the first sample, live with no reload after it',
    run: async (browser, { base }) => {
      let empty = true;
      const s = await open(browser, base, '/', {
        prepare: (page) =>
          page.route(/\/api\/ui\/home/, async (route) => {
            if (!empty) return route.continue();
            const answer = await route.fetch();
            return route.fulfill({ json: { ...(await answer.json()), lastSampleMs: 0, hosts: [] } });
          }),
      });
      await until('three ways to send data', async () => (await s.page.locator('main pre').count()) === 3);
      const found = await axe(s.page);
      assert(found.length === 0, found.join(' | '));
      empty = false;
      await until('the live view', () => s.page.getByText(/Last sample/).first().isVisible());
      await close(s);
    },
  },
  {
    name: 'state: home, something is wrong',
    run: async (browser, { base }) => {
      const s = await open(browser, base, '/', {
        prepare: (page) =>
          page.route(/\/api\/ui\/home/, async (route) => {
            const home = await (await route.fetch()).json();
            const down = [{ job: 'web', instance: 'web-3:9100', lastError: 'connection refused', sinceMs: home.nowMs - 90_000 }];
            const health = [{ id: 'disk', state: 'warning', message: '4 % left on /' }];
            return route.fulfill({ json: { ...home, targets: { ...home.targets, down }, health } });
          }),
      });
      for (const text of ['Target down: web web-3:9100', 'connection refused', '4 % left on /', 'for 1 min 30 s', 'Critical', 'Warning'])
        await until(`"${text}"`, () => s.page.getByText(text).first().isVisible());
      const found = await axe(s.page);
      assert(found.length === 0, found.join(' | '));
      await close(s);
    },
  },
  {
    name: 'state: Explore, no series, and one of two queries fails',
    data: true,
    run: async (browser, { base }) => {
      const s = await open(browser, base, exploreUrl(['no_such_metric_at_all']));
      await until('it says why', () => s.page.getByText(/No (samples|series)|no series/).first().isVisible());
      await close(s);
      const two = await open(browser, base, exploreUrl(['up', 'sum(up))']), { allow: [/status of 400/] });
      await until('the error at its query', () => two.page.getByTestId('query-error').isVisible());
      await until('the other query is drawn', () => two.page.locator('[class*="legendItem"]').first().isVisible());
      await close(two);
    },
  },
  {
    name: 'state: a panel with one failed query keeps the rest and says so',
    data: true,
    run: async (browser, { base }) => {
      const s = await open(browser, base, '/?from=now-5m&to=now&refresh=off', {
        allow: [/status of 500/],
        prepare: (page) =>
          page.route(/query_range/, (route) =>
            decodeURIComponent(route.request().postData() ?? '').includes('node_disk_read')
              ? fail(500, 'internal', 'a disk fell over')(route)
              : route.continue(),
          ),
      });
      await until('the badge', () => s.page.getByText(/1 query failed/).first().isVisible());
      await s.page.getByText(/1 query failed/).first().click();
      await until('the list of failures', () => s.page.getByText('a disk fell over').first().isVisible());
      await close(s);
    },
  },
];

export function stateChecks() {
  return [
    ...REGIONS.flatMap((region) => [
      { name: `state: ${region.name} loading`, run: loading(region), data: region.name === 'chart' },
      { name: `state: ${region.name} error`, run: broken(region), data: region.name === 'chart' },
      { name: `state: ${region.name} forbidden`, run: forbidden(region), data: region.name === 'chart' },
    ]),
    ...others,
  ];
}
