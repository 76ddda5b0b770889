// SPDX-License-Identifier: Apache-2.0
// Whole pages against the real server, with the data that budgets speak of: half a million metric names, a hundred thousand
// log lines, this machine as a host. Servers, seeds and helpers are those of the browser checks.
import { exploreUrl, launch, until } from '../../tests/browser/lib.mjs';
import { seedLines, seedNames } from '../../tests/browser/seed.mjs';
import { dataOf, Server } from '../../tests/browser/server.mjs';
import { median, traced } from './tracer.mjs';

const NAMES = 500_000;
const LINES = 100_000;
const MB = 1e6;

const flags = ['--enable-precise-memory-info', '--js-flags=--expose-gc'];

/** Runs it in a fresh browser each time, and gives the median of every figure. */
async function rounds(count, run) {
  const all = [];
  for (let k = 0; k < count; k++) {
    const browser = await launch(flags);
    try {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, serviceWorkers: 'block' });
      all.push(await run(browser, await context.newPage()));
    } finally {
      await browser.close();
    }
  }
  return Object.fromEntries(Object.keys(all[0]).map((key) => [key, median(all.map((one) => one[key]))]));
}

const watchVitals = () => {
  window.vitals = { lcp: 0, cls: 0 };
  const watch = (type, note) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
  watch('largest-contentful-paint', (entry) => {
    window.vitals.lcp = entry.startTime;
  });
  watch('layout-shift', (entry) => {
    if (!entry.hadRecentInput) window.vitals.cls += entry.value;
  });
};

const drawn = (page) =>
  page.waitForFunction(() => {
    const canvas = document.querySelector('.uplot canvas');
    return canvas && canvas.width > 0 && document.querySelector('[class*="legendItem"]');
  });
const lines = (page) => page.locator('section[aria-label="Log lines"] li').first().waitFor();
const logsUrl = (expr) => {
  const queries = [{ refId: 'A', expr, datasource: { type: 'loki', uid: 'logs' } }];
  const pane = { datasource: 'logs', queries, range: { from: 'now-1h', to: 'now' } };
  return `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: pane }))}`;
};

/** A page opened with an empty cache, until what it is for can be seen. */
async function load(browser, page, base, path, ready) {
  await page.addInitScript(watchVitals);
  const all = await traced(browser, page, async () => {
    const started = performance.now();
    await page.goto(base + path);
    await ready(page);
    const readyMs = performance.now() - started;
    await page.waitForTimeout(500);
    return { readyMs, ...(await page.evaluate(() => window.vitals)) };
  });
  const { readyMs, lcp, cls } = all.value;
  return { readyMs, lcp, cls, longest: all.longestCpuMs, cpu: all.cpuMs };
}

/** From one page to the next and back, and a few presses: how long until the next frame is there. */
async function interactions(base) {
  const found = await rounds(1, async (_browser, page) => {
    await page.addInitScript(() => {
      window.interactions = new Map();
      new PerformanceObserver((list) => {
        for (const { interactionId: id, duration } of list.getEntries())
          if (id) window.interactions.set(id, Math.max(duration, window.interactions.get(id) ?? 0));
      }).observe({ type: 'event', durationThreshold: 16 });
    });
    await page.goto(base);
    await drawn(page);
    const routes = [];
    for (let k = 0; k < 10; k++) {
      for (const [name, ready] of [
        ['Explore', (p) => p.locator('.cm-content').first().waitFor()],
        ['Home', drawn],
        ['Hosts', (p) => p.locator('h1', { hasText: 'Hosts' }).waitFor()],
      ]) {
        const started = performance.now();
        await page.locator('nav').getByRole('link', { name, exact: true }).first().click();
        await ready(page);
        if (k > 0) routes.push(performance.now() - started);
      }
      await page.keyboard.press('Control+k');
      await page.getByRole('combobox').fill('node');
      await page.keyboard.press('Escape');
    }
    const all = await page.evaluate(() => [...window.interactions.values()].sort((a, b) => a - b));
    return { warm: median(routes), inp: all[Math.floor(all.length * 0.98)] ?? 0, count: all.length };
  });
  return found;
}

async function loads(row, count) {
  const server = await new Server('bench-load', process.env.TOCAYO_BINARY).start();
  await dataOf(server, 30);
  await seedLines(server.url, 'bench', 3000);
  const instance = (await (await fetch(`${server.url}/api/ui/home`)).json()).hosts?.[0]?.instance;
  for (const [name, path, ready] of [
    ['Home', '/', drawn],
    ['Explore, a query of metrics', exploreUrl(['rate(node_cpu_seconds_total[1m])']), drawn],
    ['Explore, logs', logsUrl('{service_name="bench"}'), lines],
    ['the page of a host', `/hosts/${encodeURIComponent(instance)}`, drawn],
  ]) {
    const one = await rounds(count, (browser, page) => load(browser, page, server.url, path, ready));
    row(`cold load: ${name}, until it shows its data`, one.readyMs, 'ms', 1500);
    row('  largest contentful paint', one.lcp, 'ms', 1000);
    row('  layout shift', one.cls, '', 0.02);
    row('  longest task of the page, CPU', one.longest, 'ms', null);
    row('  all tasks, CPU', one.cpu, 'ms', null);
  }
  const { warm, inp, count: presses } = await interactions(server.url);
  row('warm change of page, median', warm, 'ms', 300);
  row(`interaction to next paint, p98 of ${presses}`, inp, 'ms', 200);
  await server.kill();
}

/** From the pointer's press on a button until the first rows of the list that it opens are painted, by the page's own clock. */
const watchOpening = () => {
  let pressed = 0;
  let seen = false;
  addEventListener('pointerdown', () => (pressed = performance.now()), true);
  new MutationObserver(() => {
    if (!pressed || seen || !document.querySelector('dialog li button code')) return;
    seen = true;
    requestAnimationFrame(() => setTimeout(() => (window.openedMs = performance.now() - pressed)));
  }).observe(document, { subtree: true, childList: true });
};

/** Everything that a person does with half a million names, and the longest pause of the page in each. */
async function names(row, count) {
  const server = await new Server('bench-names', process.env.TOCAYO_BINARY).start();
  await seedNames(server.url, NAMES);
  const figures = await rounds(count, async (browser, page) => {
    const out = {};
    await page.addInitScript(watchOpening);
    const step = async (name, run) => {
      const all = await traced(browser, page, run);
      out[name] = all.longestCpuMs;
      out[`${name} wall`] = all.longestWallMs;
      return all.value;
    };
    const dialog = page.getByRole('dialog');
    const status = () => dialog.getByRole('status').first().textContent();
    const rows = dialog.locator('li button code');
    await step('opening Explore', async () => {
      await page.goto(`${server.url}/explore`);
      await page.locator('.cm-content').waitFor();
      await page.waitForTimeout(1000);
    });
    await step('typing into the editor', async () => {
      await page.locator('.cm-content').click();
      await page.keyboard.type('service_12_lat', { delay: 80 });
      const options = page.locator('.cm-tooltip-autocomplete li');
      await until('names', async () => /service_12_lat/.test(await options.first().textContent()));
      await page.keyboard.press('Escape');
    });
    await step('opening the metrics browser', async () => {
      await page.getByRole('button', { name: 'Metrics', exact: true }).first().click();
      out.open = await (await page.waitForFunction(() => window.openedMs)).jsonValue();
      await until('all names', async () => /^500,\d{3} metrics$/.test(await status()));
      await page.locator('dialog select option').nth(1).waitFor({ state: 'attached' });
      await page.waitForTimeout(1500);
    });
    await step('scrolling through them', async () => {
      await rows.first().hover();
      for (let k = 0; k < 40; k++) {
        await page.mouse.wheel(0, 600 + k * 200);
        await page.waitForTimeout(25);
      }
      await page.waitForTimeout(800);
    });
    await step('filtering them', async () => {
      await dialog.getByRole('searchbox').click();
      await page.keyboard.type('queue 4999', { delay: 80 });
      await until('few', async () => /^\d\d metrics$/.test(await status()));
    });
    out.heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
    return out;
  });
  row('500 000 metric names: from the press to the first rows', figures.open, 'ms', 300);
  for (const name of Object.keys(figures).filter((key) => key.endsWith(' wall'))) {
    const what = name.slice(0, -5);
    // Opening the page itself is the business of `load`.
    row(`  ${what}: longest pause of the page, CPU`, figures[what], 'ms', what === 'opening Explore' ? null : 50);
    row('    the same by the clock', figures[name], 'ms', null);
  }
  row('  heap of the page', figures.heap / MB, 'MB', null);
  await server.kill();
}

/** A hundred thousand lines in the page, loaded a thousand at a time, then scrolled from end to end. */
async function logs(row, count) {
  const server = await new Server('bench-logs', process.env.TOCAYO_BINARY).start();
  await seedLines(server.url, 'bench', LINES);
  const figures = await rounds(count, async (browser, page) => {
    await page.goto(server.url + logsUrl('{service_name="bench"}'));
    await lines(page);
    const more = page.getByRole('button', { name: 'Load older lines' });
    const box = page.locator('section[aria-label="Log lines"]');
    const held = async () => Number(await box.locator('li').first().getAttribute('aria-setsize'));
    let last;
    while (await more.isVisible()) {
      const n = await held();
      const next = async () => {
        await more.click();
        await until('more lines', async () => (await held()) > n || !(await more.isVisible()));
      };
      if (n > LINES * 0.97 && !last) last = await traced(browser, page, next);
      else await next();
    }
    const lineCount = await held();
    const scroll = await traced(browser, page, () =>
      box.evaluate(async (element) => {
        const frame = () => new Promise(requestAnimationFrame);
        const times = [];
        const far = element.scrollHeight - element.clientHeight;
        for (let k = 0; k < 180; k++) {
          // Slowly, then in leaps, down and up again.
          element.scrollTop += k < 60 ? 60 : k < 120 ? far / 60 : -far / 61;
          times.push(await frame());
        }
        return { frames: times.length, ms: times.at(-1) - times[0] };
      }),
    );
    await page.evaluate(() => window.gc?.());
    const heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
    return {
      lineCount,
      nextMs: last?.longestCpuMs ?? 0,
      fps: ((scroll.value.frames - 1) / scroll.value.ms) * 1000,
      frameCpu: scroll.cpuMs / scroll.value.frames,
      longest: scroll.longestCpuMs,
      heap,
    };
  });
  row(`${figures.lineCount} log lines loaded: memory of the page (heap)`, figures.heap / MB, 'MB', 300);
  row('  scrolled: CPU of the page per frame (16.7 ms is 60 fps)', figures.frameCpu, 'ms', 16.7);
  row('  scrolled: longest task, CPU', figures.longest, 'ms', null);
  row('  scrolled: frames per second by the clock', figures.fps, 'fps', null);
  row('  the last thousand joined: longest task, CPU', figures.nextMs, 'ms', 50);
  await server.kill();
}

export const pageParts = { load: loads, names, logs };
