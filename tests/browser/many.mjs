// SPDX-License-Identifier: Apache-2.0
// Very many metric names: what the page's own thread reads and shows stays small, however many there are. No times here.
import { assert, close, exploreUrl, open, until } from './lib.mjs';
import { seedNames } from './seed.mjs';
import { Server } from './server.mjs';

const NAMES = 60_000;
/** A list of all of them is 2 MB, their descriptions 7 MB. */
const MOST_READ = 500_000;
const MOST_OPTIONS = 100;
const MOST_ROWS = 60;

/** Takes note of the longest text that the page itself reads or parses, and of the longest list that a worker sends it. */
function watchSizes() {
  window.__read = { bytes: 0, what: '' };
  window.__sent = 0;
  const note = (bytes, what) => {
    if (bytes > window.__read.bytes) window.__read = { bytes, what };
  };
  for (const name of ['text', 'arrayBuffer', 'json']) {
    const read = Response.prototype[name];
    Response.prototype[name] = async function () {
      const value = await read.call(this);
      note(name === 'json' ? JSON.stringify(value).length : (value.byteLength ?? value.length), this.url);
      return value;
    };
  }
  const { parse } = JSON;
  JSON.parse = (text, reviver) => {
    note(String(text).length, 'JSON.parse');
    return parse(text, reviver);
  };
  const Original = window.Worker;
  window.Worker = class extends Original {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', ({ data }) => {
        const list = data?.value?.names ?? data?.value;
        if (Array.isArray(list)) window.__sent = Math.max(window.__sent, list.length);
      });
    }
  };
}

async function fewAtATime(browser, { binary }) {
  const server = await new Server('many', binary).start();
  await seedNames(server.url, NAMES);
  const s = await open(browser, server.url, exploreUrl(['']), { prepare: (page) => page.addInitScript(watchSizes) });
  const { page } = s;
  await page.locator('.cm-content').click();
  await page.keyboard.type('service_12_lat');
  const options = page.locator('.cm-tooltip-autocomplete li');
  await until('names that fit', async () => /service_12_latency/.test(await options.first().textContent()));
  assert((await options.count()) <= MOST_OPTIONS, `${await options.count()} names under the cursor`);
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Metrics', exact: true }).first().click();
  const dialog = page.getByRole('dialog');
  const counted = (text) => until(`${text}`, async () => text.test(await dialog.getByRole('status').first().textContent()));
  await counted(/^60,\d{3} metrics$/);
  const rows = dialog.locator('li button');
  await until('a described row', () => rows.getByText(/^(counter|gauge)$/).first().isVisible());
  assert((await rows.count()) <= MOST_ROWS, `${await rows.count()} rows in the document`);
  await dialog.locator('ul').first().evaluate((list) => {
    list.parentElement.scrollTop = list.parentElement.scrollHeight / 2;
  });
  await until('rows of the middle', async () => (await rows.count()) > 5 && !/service_0_/.test(await rows.first().textContent()));
  assert((await rows.count()) <= MOST_ROWS, `${await rows.count()} rows in the document after scrolling`);
  await dialog.getByRole('searchbox').fill('number 59999');
  await counted(/^1 metric$/);
  await until('what is described so', async () => (await rows.first().textContent()).includes('_59999'));

  const { read, sent } = await page.evaluate(() => ({ read: window.__read, sent: window.__sent }));
  assert(read.bytes > 0 && read.bytes <= MOST_READ, `the page read ${read.bytes} bytes at once: ${read.what}`);
  assert(sent > 0 && sent <= 500, `the worker sent ${sent} names at once`);
  await close(s);
  await server.kill();
}

export const manyChecks = [{ name: 'many metrics: few names at a time reach the page', run: fewAtATime }];
