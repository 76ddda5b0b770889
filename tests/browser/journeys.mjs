// SPDX-License-Identifier: Apache-2.0
// What people come for, on a server that watches its own machine.
import { assert, canvasPrint, chartDrawn, close, exploreUrl, open, paneOf, until } from './lib.mjs';

const editor = (page) => page.locator('.cm-content').first();

async function type(page, text) {
  await until('the editor is there', () => editor(page).isVisible());
  await editor(page).click();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  await page.keyboard.insertText(text);
  await page.keyboard.press('Escape');
}

export const journeys = [
  [
    'first start shows live data that moves without a refresh',
    async (browser, base) => {
      const s = await open(browser, base, '/');
      await chartDrawn(s.page);
      const navigations = await s.page.evaluate(() => performance.getEntriesByType('navigation').length);
      const before = await canvasPrint(s.page);
      await until('the chart moved', async () => (await canvasPrint(s.page)) !== before);
      const later = await canvasPrint(s.page);
      await until('the chart moved again', async () => (await canvasPrint(s.page)) !== later);
      assert(navigations === 1, 'the page was loaded again');
      assert(await s.page.getByText(/Last sample/).first().isVisible(), 'no proof of life');
      await close(s);
    },
  ],
  [
    'Explore: a typed query gives a chart, a table and a tree',
    async (browser, base) => {
      const s = await open(browser, base, '/explore');
      await type(s.page, 'up');
      await s.page.keyboard.press('Shift+Enter');
      await chartDrawn(s.page);
      await until('the URL holds the query', () => paneOf(s.page.url())?.queries[0].expr === 'up');
      await s.page.getByText('Table', { exact: true }).click();
      const value = await until('the table has values', async () => {
        const cells = await s.page.locator('tbody td:last-child').allInnerTexts();
        return cells.find((text) => /^[01]$/.test(text.trim()));
      });
      assert(/^[01]$/.test(value.trim()), `up is ${value}`);
      await s.page.getByText('Explain', { exact: true }).click();
      await until('the tree counts series', () => s.page.getByText(/\d+ series/).first().isVisible());
      await close(s);
    },
  ],
  [
    'Explore: the table keeps full precision',
    async (browser, base) => {
      const s = await open(browser, base, exploreUrl(['vector(1) / 3'], undefined, 'table'));
      await until('1/3 in full', () => s.page.getByText('0.3333333333333333').first().isVisible());
      await close(s);
    },
  ],
  [
    'Explore: an error is shown at its place',
    async (browser, base) => {
      const s = await open(browser, base, '/explore', { allow: [/status of 400/] });
      await type(s.page, 'sum(up))');
      await s.page.keyboard.press('Shift+Enter');
      const box = s.page.getByTestId('query-error');
      await until('the error is shown', () => box.isVisible());
      const text = await box.innerText();
      assert(/Line 1, column \d+/.test(text), `no position in: ${text}`);
      assert(text.includes('^'), 'no caret below the query');
      await close(s);
    },
  ],
  [
    'dragging a chart zooms, Back undoes it, double-click zooms out',
    async (browser, base) => {
      const s = await open(browser, base, exploreUrl(['up']));
      await chartDrawn(s.page);
      const box = await s.page.locator('.u-over').first().boundingBox();
      assert(box, 'no plot area');
      const y = box.y + box.height / 2;
      await s.page.mouse.move(box.x + box.width * 0.5, y);
      await s.page.mouse.down();
      await s.page.mouse.move(box.x + box.width * 0.7, y, { steps: 6 });
      await s.page.mouse.up();
      const zoomed = await until('the range is absolute', () => {
        const range = paneOf(s.page.url()).range;
        return /^\d{13}$/.test(range.from) ? range : null;
      });
      const span = Number(zoomed.to) - Number(zoomed.from);
      assert(span > 20_000 && span < 120_000, `zoomed to ${span} ms`);
      await s.page.goBack();
      await until('the old range is back', () => paneOf(s.page.url()).range.from === 'now-5m');
      await chartDrawn(s.page);
      await s.page.mouse.dblclick(box.x + box.width * 0.5, y);
      await until('the range doubled', () => {
        const range = paneOf(s.page.url()).range;
        return Number(range.to) - Number(range.from) === 600_000;
      });
      await close(s);
    },
  ],
  [
    'a link opened elsewhere shows the same picture',
    async (browser, base) => {
      const to = Math.floor(Date.now() / 1000) * 1000 - 5000;
      const path = `${exploreUrl(['up'], { from: String(to - 60_000), to: String(to) })}&timezone=utc`;
      const read = async (s) => {
        await chartDrawn(s.page);
        return until('a summary', () => s.page.locator('figure [role="group"]').first().getAttribute('aria-label'));
      };
      const first = await open(browser, base, path);
      const one = await read(first);
      const link = first.page.url();
      const second = await open(browser, base, link.slice(base.length), { language: 'en', width: 1440 });
      const two = await read(second);
      assert(one === two, `"${one}" and "${two}" differ`);
      await close(first);
      await close(second);
    },
  ],
  [
    'links of Prometheus lead to Explore',
    async (browser, base) => {
      const s = await open(browser, base, '/graph?g0.expr=up&g0.tab=1&g0.range_input=2h');
      await until('the query arrived', () => paneOf(s.page.url())?.queries[0].expr === 'up');
      assert(paneOf(s.page.url()).range.from === 'now-2h', 'range lost');
      await until('the table is shown', () => s.page.locator('tbody td').first().isVisible());
      await close(s);
      const q = await open(browser, base, '/query?g0.expr=up&g1.expr=vector(1)');
      await until('both queries arrived', () => paneOf(q.page.url())?.queries.length === 2);
      await close(q);
    },
  ],
  [
    'a broken link shows a notice and a default, not a blank page',
    async (browser, base) => {
      const s = await open(browser, base, '/explore?schemaVersion=1&panes=%7Bnot-json');
      await until('a notice', () => s.page.getByText(/cannot be understood/).first().isVisible());
      await close(s);
      const h = await open(browser, base, '/?from=tomorrowish&timezone=Mars/Olympus');
      await until('notices', async () => (await h.page.getByText(/in the link/).count()) >= 2);
      await chartDrawn(h.page);
      await close(h);
    },
  ],
  [
    'time picker: free text, quick range, back half, zone',
    async (browser, base) => {
      const s = await open(browser, base, '/');
      await s.page.getByRole('button', { name: /^Time range:/ }).click();
      await until('the picker is open', () => s.page.getByLabel('Type a range').isVisible());
      await s.page.getByLabel('Type a range').fill('2h');
      await s.page.keyboard.press('Enter');
      await until('from is now-2h', () => new URL(s.page.url()).searchParams.get('from') === 'now-2h');
      await s.page.getByRole('button', { name: /^Time range:/ }).click();
      await s.page.getByRole('button', { name: 'Last 15 minutes' }).click();
      await until('from is now-15m', () => new URL(s.page.url()).searchParams.get('from') === 'now-15m');
      await s.page.getByRole('button', { name: 'Move back half the range' }).click();
      await until('the range is absolute', () => /^\d{13}$/.test(new URL(s.page.url()).searchParams.get('from')));
      assert(await s.page.getByText(/UTC\+0[12]:00/).first().isVisible(), 'the zone is not printed');
      await close(s);
    },
  ],
  [
    'keyboard: sequences, palette, overlay, crosshair',
    async (browser, base) => {
      const s = await open(browser, base, '/hosts');
      await s.page.locator('body').press('g');
      await s.page.keyboard.press('h');
      await until('g h leads home', () => new URL(s.page.url()).pathname.endsWith('/'));
      await chartDrawn(s.page);
      await s.page.keyboard.press('?');
      await until('the overlay opens', () => s.page.getByRole('heading', { name: 'Keyboard' }).isVisible());
      await s.page.keyboard.press('Escape');
      await until('the overlay closes', async () => (await s.page.locator('dialog[open]').count()) === 0);
      const plot = s.page.locator('figure [role="group"]').first();
      await plot.focus();
      await s.page.keyboard.press('ArrowLeft');
      await until('the point is announced', async () => /:.*\d/.test(await s.page.locator('#announcer').innerText()));
      await s.page.keyboard.press('Control+k');
      await until('the palette opens', () => s.page.getByRole('combobox').isVisible());
      await s.page.keyboard.insertText('explo');
      await until('Explore is found', () => s.page.getByRole('option', { name: /Explore/ }).first().isVisible());
      await s.page.keyboard.press('Enter');
      await until('the palette navigates', () => new URL(s.page.url()).pathname.endsWith('/explore'));
      await close(s);
    },
  ],
  [
    'a chart can be read as a table, and the link keeps it',
    async (browser, base) => {
      const s = await open(browser, base, '/');
      await chartDrawn(s.page);
      await s.page.getByRole('button', { name: 'View as table' }).first().click();
      await until('the table is there', async () => (await s.page.locator('figure table tbody tr').count()) > 3);
      assert(new URL(s.page.url()).searchParams.get('table') !== null, 'the URL does not say so');
      const again = await open(browser, base, s.page.url().slice(base.length));
      await until('the link shows the table', async () => (await again.page.locator('figure table tbody tr').count()) > 3);
      await close(again);
      await close(s);
    },
  ],
  [
    'legend: click isolates, the link keeps it',
    async (browser, base) => {
      const s = await open(browser, base, '/');
      await chartDrawn(s.page);
      const items = s.page.locator('figure').first().locator('[class*="legendItem"]');
      await until('several series', async () => (await items.count()) > 1);
      await items.first().click();
      await until('others are off', async () => (await s.page.locator('figure').first().locator('[class*="legendItem"][aria-pressed="false"]').count()) > 0);
      assert(new URL(s.page.url()).searchParams.get('hide') !== null, 'the URL does not say so');
      await items.first().click();
      await until('all are back', () => new URL(s.page.url()).searchParams.get('hide') === null);
      await close(s);
    },
  ],
  [
    'one panel of a page is compared with the period before, and the link keeps it',
    async (browser, base) => {
      const hosts = (await (await fetch(`${base}/api/ui/home`)).json()).hosts;
      const s = await open(browser, base, `/hosts/${encodeURIComponent(hosts[0].instance)}?from=now-1m&to=now`);
      await chartDrawn(s.page);
      await s.page.getByRole('button', { name: 'Compare Load with: No comparison' }).click();
      await s.page.getByRole('button', { name: 'Previous period' }).click();
      const compared = (page) => page.getByRole('button', { name: 'Compare Load with: Previous period' });
      await until('the panel is compared', () => compared(s.page).isVisible());
      assert(new URL(s.page.url()).searchParams.get('versus') === 'load.previous', s.page.url());
      assert(await s.page.getByRole('button', { name: 'Compare CPU with: No comparison' }).isVisible(), 'another panel too');
      const again = await open(browser, base, s.page.url().slice(base.length));
      await until('the link shows it', () => compared(again.page).isVisible());
      await close(again);
      await compared(s.page).click();
      await s.page.getByRole('button', { name: 'No comparison', exact: true }).click();
      await until('it is gone', () => new URL(s.page.url()).searchParams.get('versus') === null);
      await close(s);
    },
  ],
  [
    'the page tells its own server how fast it was',
    async (browser, base) => {
      const counted = async (sign) => {
        const text = await (await fetch(`${base}/metrics`)).text();
        return Number(new RegExp(`^tocayo_web_${sign}_count\\{page="profile"[^}]*\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
      };
      const before = [await counted('vital_seconds'), await counted('layout_shift')];
      const s = await open(browser, base, '/me');
      await s.page.getByText('Cosy', { exact: true }).click();
      await s.page.goto('about:blank');
      await until('its vital signs are counted', async () =>
        (await counted('vital_seconds')) > before[0] && (await counted('layout_shift')) > before[1],
      );
      await close(s);
    },
  ],
  [
    'metrics browser: find, look, use',
    async (browser, base) => {
      const s = await open(browser, base, '/explore');
      await s.page.getByRole('button', { name: 'Metrics', exact: true }).click();
      await until('names are listed', async () => (await s.page.locator('dialog li button code').count()) > 5);
      await s.page.getByLabel('Search names and descriptions').fill('node_cpu_seconds');
      const row = s.page.locator('dialog li button', { hasText: 'node_cpu_seconds_total' }).first();
      await row.click();
      await until('labels are listed', () => s.page.locator('dialog').getByText('mode', { exact: true }).first().isVisible());
      await s.page.getByRole('button', { name: /^Query rate\(node_cpu_seconds_total/ }).click();
      await chartDrawn(s.page);
      assert(paneOf(s.page.url()).queries[0].expr === 'rate(node_cpu_seconds_total[5m])', 'the query is not in the URL');
      await close(s);
    },
  ],
  [
    'Explore live: the chart moves without a refresh',
    async (browser, base) => {
      const s = await open(browser, base, `${exploreUrl(['rate(node_cpu_seconds_total[10s])'])}&refresh=live`);
      await chartDrawn(s.page);
      const before = await canvasPrint(s.page);
      await until('the chart moved', async () => (await canvasPrint(s.page)) !== before);
      await close(s);
    },
  ],
];
