// SPDX-License-Identifier: Apache-2.0
// What is left of the page while the server does not answer: the service worker, and the page that it shows.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { rememberState } from '@/shared/lastKnown';

beforeEach(() => vi.resetModules());

describe('the offline page', () => {
  it('shows what was wrong, with its age, and goes back as soon as the server answers', async () => {
    vi.useFakeTimers();
    document.body.innerHTML = '<main id="offline"></main>';
    rememberState({ atMs: Date.now() - 3 * 3_600_000, wrong: [{ level: 'critical', what: 'disk', why: '4 % left' }] });
    const reload = vi.spyOn(location, 'reload').mockImplementation(() => undefined);
    let up = false;
    const asked = vi.fn(() => (up ? Promise.resolve(new Response('')) : Promise.reject(new Error('down'))));
    vi.stubGlobal('fetch', asked);
    await import('./offline/offline');
    const main = document.getElementById('offline') as HTMLElement;
    expect(main.textContent).toContain('disk');
    expect(main.textContent).toContain('4 % left');
    expect(main.textContent).toContain('3 hours');
    await vi.advanceTimersByTimeAsync(3000);
    expect(asked).toHaveBeenCalledTimes(1);
    // The next try is later than the first was.
    await vi.advanceTimersByTimeAsync(3000);
    expect(asked).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(3000);
    expect(asked).toHaveBeenCalledTimes(2);
    expect(reload).not.toHaveBeenCalled();
    up = true;
    main.querySelector('button')?.click();
    await vi.advanceTimersByTimeAsync(10);
    expect(reload).toHaveBeenCalledOnce();
    vi.useRealTimers();
  });

  it('says that it knows nothing when nothing was kept', async () => {
    vi.useFakeTimers();
    document.body.innerHTML = '<main id="offline"></main>';
    vi.stubGlobal('fetch', () => Promise.reject(new Error('down')));
    await import('./offline/offline');
    expect(document.querySelector('#offline section p')?.textContent).not.toBe('');
    expect(document.querySelector('#offline ul')).toBeNull();
    vi.useRealTimers();
  });
});

describe('the service worker', () => {
  type Listener = (event: Record<string, unknown>) => void;

  it('keeps the shell all or nothing, drops older ones, and never answers for an API', async () => {
    const listeners = new Map<string, Listener>();
    const held = new Map<string, Response>([['/base/offline.html', new Response('<a href="__BASE_PATH__/">')]]);
    const addAll = vi.fn();
    const removed: string[] = [];
    vi.stubGlobal('caches', {
      open: async () => ({ addAll }),
      keys: async () => ['tocayo-shell-1', 'tocayo-shell-2', 'other'],
      delete: async (name: string) => removed.push(name),
      match: async (key: string | Request) => held.get(typeof key === 'string' ? key : new URL(key.url).pathname),
    });
    const scope = {
      shell: { version: '2', files: ['index.js'] },
      registration: { scope: `${location.origin}/base/` },
      clients: { claim: vi.fn(async () => undefined) },
      skipWaiting: vi.fn(async () => undefined),
      addEventListener: (name: string, listener: Listener) => listeners.set(name, listener),
    };
    vi.stubGlobal('self', scope);
    vi.stubGlobal(
      'Request',
      class {
        constructor(readonly url: string) {}
      },
    );
    // @ts-expect-error: a script, no module
    await import('./serviceWorker');
    vi.unstubAllGlobals();
    const wait = async (name: string) => {
      let work: unknown;
      listeners.get(name)?.({ waitUntil: (w: unknown) => (work = w) });
      await work;
    };
    const caches = { match: async (key: { url: string }) => held.get(new URL(key.url).pathname) };
    expect(listeners.size).toBe(3);
    vi.stubGlobal('caches', {
      open: async () => ({ addAll }),
      keys: async () => ['tocayo-shell-1', 'tocayo-shell-2', 'other'],
      delete: async (n: string) => removed.push(n),
      match: async (key: string | { url: string }) => (typeof key === 'string' ? held.get(key) : caches.match(key)),
    });
    vi.stubGlobal(
      'Request',
      class {
        constructor(readonly url: string) {}
      },
    );
    await wait('install');
    expect(addAll.mock.calls[0]?.[0].map((r: { url: string }) => r.url)).toEqual(['/base/index.js']);
    expect(scope.skipWaiting).toHaveBeenCalled();
    await wait('activate');
    expect(removed).toEqual(['tocayo-shell-1']);

    const ask = async (path: string, more: object = {}) => {
      let answer: Promise<Response> | null = null;
      const request = { method: 'GET', mode: 'cors', url: `${location.origin}${path}`, ...more };
      listeners.get('fetch')?.({ request, respondWith: (a: Promise<Response>) => (answer = a) });
      return answer as Promise<Response> | null;
    };
    vi.stubGlobal('fetch', () => Promise.reject(new Error('down')));
    expect(await ask('/base/api/v1/query')).toBeNull();
    expect(await ask('/base/assets/a.js', { method: 'POST' })).toBeNull();
    held.set('/base/assets/a.js', new Response('kept'));
    expect(await (await ask('/base/assets/a.js'))?.text()).toBe('kept');
    const page = await ask('/base/explore', { mode: 'navigate' });
    expect(page?.status).toBe(503);
    expect(await page?.text()).toBe('<a href="/base/">');
  });
});
