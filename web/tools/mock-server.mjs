// SPDX-License-Identifier: Apache-2.0
// Development only: serves dist as the real server does (nonce, boot JSON, headers) and answers the contract of API.md
// from a Prometheus and a node exporter that it starts on loopback. Nothing here is part of the product.
//   node tools/mock-server.mjs [--port 4610] [--auth] [--base /x] [--empty]
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname, tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApi } from './mock/api.mjs';
import { createLive } from './mock/live.mjs';

const args = process.argv.slice(2);
const option = (name, fallback) => (args.includes(name) ? args[args.indexOf(name) + 1] : fallback);
const port = Number(option('--port', '4610'));
const base = option('--base', '');
const auth = args.includes('--auth');
const empty = args.includes('--empty');
const dist = fileURLToPath(new URL('../dist', import.meta.url));
const promPort = port + 1000;
const nodePort = port + 1001;
const work = mkdtempSync(join(tmpdir(), 'tocayo-mock-'));
const children = [];

function start(command, ...rest) {
  const child = spawn(command, rest, { stdio: 'ignore' });
  child.on('error', (error) => console.error(`${command}: ${error.message}`));
  children.push(child);
}
function stop() {
  for (const child of children) child.kill('SIGTERM');
  rmSync(work, { recursive: true, force: true });
  process.exit(0);
}
process.on('SIGINT', stop);
process.on('SIGTERM', stop);

if (!empty) {
  writeFileSync(
    join(work, 'prometheus.yml'),
    `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['127.0.0.1:${nodePort}'], labels: {instance: '${hostname()}'}}]
  - job_name: tocayo
    metrics_path: ${base}/metrics
    static_configs: [{targets: ['127.0.0.1:${port}']}]
  - job_name: gone
    scrape_interval: 5s
    static_configs: [{targets: ['127.0.0.1:1']}]
`,
  );
  start('prometheus-node-exporter', `--web.listen-address=127.0.0.1:${nodePort}`);
  start(
    'prometheus',
    `--config.file=${join(work, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(work, 'data')}`,
    `--web.listen-address=127.0.0.1:${promPort}`,
    '--query.lookback-delta=30s',
    '--log.level=error',
  );
}

const prom = `http://127.0.0.1:${promPort}`;
const api = createApi({ prom, auth, empty, hostname: hostname(), base });

const TYPES = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
};

function page(request, response) {
  const nonce = randomBytes(16).toString('base64');
  const boot = JSON.stringify(api.boot(request)).replaceAll('<', '\\u003c');
  const html = readFileSync(join(dist, 'index.html'), 'utf8')
    .replaceAll('__CSP_NONCE__', nonce)
    .replaceAll('__BASE_PATH__', base)
    .replaceAll('__BOOT_JSON__', () => boot);
  response.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'`,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
  });
  response.end(html);
}

function asset(path, response) {
  const file = join(dist, normalize(path));
  if (!file.startsWith(dist)) return false;
  try {
    if (!statSync(file).isFile()) return false;
    response.writeHead(200, {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Cache-Control': 'public, max-age=31536000, immutable',
    });
    response.end(readFileSync(file));
    return true;
  } catch {
    return false;
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://x');
  if (!url.pathname.startsWith(base)) {
    response.writeHead(404).end();
    return;
  }
  const path = url.pathname.slice(base.length) || '/';
  try {
    if (await api.handle(request, response, path, url)) return;
    if (path.startsWith('/assets/') && asset(path, response)) return;
    const isPage =
      request.method === 'GET' && (request.headers.accept ?? '').includes('text/html') && !path.startsWith('/api/');
    if (isPage) return page(request, response);
    response.writeHead(404, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ code: 'not_found', message: `no such path ${path}`, params: {} }));
  } catch (error) {
    console.error(error);
    response.writeHead(500, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ code: 'internal', message: String(error), params: {} }));
  }
});
createLive(server, `${base}/api/live/v1/ws`, prom, empty);
server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}${base}/`));
