// SPDX-License-Identifier: Apache-2.0
// Keeps the shell's files and the offline page, and nothing else: an answer of an API never comes from here.
// The build puts `self.shell` before this script (tools/vitePlugins.ts).

interface WorkerScope {
  shell: { version: string; files: string[] };
  registration: { scope: string };
  clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', listener: (event: WaitEvent) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void;
}
interface WaitEvent {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends WaitEvent {
  request: Request;
  respondWith(answer: Promise<Response>): void;
}

const worker = self as unknown as WorkerScope;
const PREFIX = 'tocayo-shell-';
const cacheName = PREFIX + worker.shell.version;
const base = new URL(worker.registration.scope).pathname.replace(/\/$/, '');

/** One broken file would leave a shell that cannot start: all or nothing. */
async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  await cache.addAll(worker.shell.files.map((file) => new Request(`${base}/${file}`, { cache: 'reload' })));
  await worker.skipWaiting();
}

async function activate(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== cacheName);
  await Promise.all(old.map((name) => caches.delete(name)));
  await worker.clients.claim();
}

async function offlinePage(): Promise<Response> {
  const kept = await caches.match(`${base}/offline.html`);
  if (!kept) return Response.error();
  const html = (await kept.text()).replaceAll('__BASE_PATH__', base);
  return new Response(html, { status: 503, headers: { 'Content-Type': 'text/html; charset=utf-8' } });
}

worker.addEventListener('install', (event) => event.waitUntil(install()));
worker.addEventListener('activate', (event) => event.waitUntil(activate()));
worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (request.mode === 'navigate') event.respondWith(fetch(request).catch(offlinePage));
  else if (url.pathname.startsWith(`${base}/assets/`))
    event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
});
