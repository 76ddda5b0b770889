// SPDX-License-Identifier: Apache-2.0
// The figures of the chart engine and of the names' worker, in a page of their own.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { launch } from '../../tests/browser/lib.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const METRICS = 500_000;
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/** Builds the page and serves it: its address, and what ends it. */
async function serve() {
  const out = mkdtempSync(join(tmpdir(), 'tocayo-bench-'));
  await build({
    configFile: false,
    root: here,
    base: './',
    logLevel: 'error',
    resolve: { alias: { '@': join(here, '..', 'src') } },
    build: { outDir: out, emptyOutDir: true, target: 'es2022' },
  });
  const list = {
    status: 'success',
    data: Array.from({ length: METRICS }, (_, i) => `service_${i % 977}_requests_${i}_total`),
  };
  const names = Buffer.from(JSON.stringify(list));
  const first = Buffer.from(JSON.stringify({ ...list, data: list.data.slice(0, 40) }));
  const LISTS = { '/names.json': names, '/first.json': first };
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, 'http://x').pathname);
    try {
      const body = LISTS[path] ?? readFileSync(join(out, path === '/' ? 'index.html' : path));
      response.writeHead(200, {
        'Content-Type': TYPES[extname(path)] ?? (path === '/' ? 'text/html' : 'application/json'),
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const end = () => {
    server.close();
    rmSync(out, { recursive: true, force: true });
  };
  return { address: `http://127.0.0.1:${server.address().port}/`, end };
}

/** `seconds`: how long the live part runs. */
export async function charts(row, seconds) {
  const { address, end } = await serve();
  const browser = await launch(['--enable-precise-memory-info', '--js-flags=--expose-gc']);
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 850 } });
    page.on('pageerror', (error) => {
      throw error;
    });
    await page.goto(address);
    await page.waitForSelector('body[data-ready]');
    const run = (name, ...args) => page.evaluate(([n, a]) => window.bench[n](...a), [name, args]);

    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busy = async () => {
      const { metrics } = await cdp.send('Performance.getMetrics');
      return metrics.find((m) => m.name === 'TaskDuration')?.value ?? 0;
    };
    /** CPU time of the page's thread, milliseconds: what else the machine does is not in it. */
    const spent = async (name, ...args) => {
      const before = await busy();
      return [await run(name, ...args), ((await busy()) - before) * 1000];
    };

    const [million, millionCpu] = await spent('million');
    row('one panel, 1 000 000 points: first draw', million.firstDrawMs, 'ms', 150);
    row('  zoom, page thread per frame, p95', million.zoom.p95, 'ms', 16);
    row('  drawn 5 times and zoomed for 120 frames, CPU of the page', millionCpu, 'ms', null);
    row('  entries read per pixel column at any zoom', million.entriesPerPixel, '', 4);

    const [fifty, fiftyCpu] = await spent('fifty');
    row('50 panels x 20 series x 1000 points, panned: per frame, p95', fifty.pan.p95, 'ms', 8);
    row('  the same, median', fifty.pan.p50, 'ms', 8);
    row('  all of it, CPU of the page', fiftyCpu, 'ms', null);
    row('  one panel drawn, median', fifty.drawMs, 'ms', null);
    row('  frames per second', fifty.pan.fps, 'fps', 30, false);
    row('  canvases held (two a panel; 12 of 50 panels on screen)', fifty.canvases, '', 72);
    row('  crosshair over 50 synced charts, p95 of a move', fifty.crosshairMs.p95, 'ms', 2);

    const [before, at] = [await busy(), performance.now()];
    const live = await run('live', seconds);
    const share = ((await busy()) - before) / ((performance.now() - at) / 1000);
    row(`20 panels x 20 series live at 10 Hz, ${seconds} s: frames per second`, live.fps, 'fps', 30, false);
    row('  page thread busy (its own CPU time)', share * 100, '%', 50);
    row('  heap growth', live.heapGrowth * 100, '%', 5);
    row('  sample to pixel, p95', live.sampleToPixelP95Ms, 'ms', 150);

    const index = await run('names');
    row('500 000 metric names: until the first rows are there', index.openMs, 'ms', 300);
    row('  until all of them are', index.wholeMs, 'ms', null);
    row('  search among them', index.searchMs, 'ms', null);
    row('  longest pause of the page meanwhile', index.longestPauseOfThePageMs, 'ms', 50);

    const decode = await run('decode');
    row(`range answer of ${decode.megabytes.toFixed(1)} MB decoded in the worker`, decode.ms, 'ms', null);
  } finally {
    await browser.close();
    end();
  }
}
