// SPDX-License-Identifier: Apache-2.0
import { render, screen } from '@testing-library/react';
import { createElement } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { lazyChunk, loadChunk, mayReload } from './chunks';
import { reachability, reportReachability } from './reachability';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  sessionStorage.clear();
  reportReachability(true);
});

const healthy = () =>
  vi.stubGlobal(
    'fetch',
    vi.fn(async () => new Response('ok')),
  );

describe('parts of the page', () => {
  it('may reload once a minute', () => {
    expect(mayReload(sessionStorage, 1_000_000)).toBe(true);
    expect(mayReload(sessionStorage, 1_059_000)).toBe(false);
    expect(mayReload(sessionStorage, 1_061_000)).toBe(true);
    const broken = () => {
      throw new Error('no storage');
    };
    expect(mayReload({ getItem: broken, setItem: broken }, 0)).toBe(false);
  });
  it('reloads when the server answers but has no such part, and the next time says so', async () => {
    healthy();
    const reload = vi.spyOn(location, 'reload').mockImplementation(() => undefined);
    const load = vi.fn(async () => {
      throw new Error('404');
    });
    void loadChunk(load);
    await vi.waitFor(() => expect(reload).toHaveBeenCalledTimes(1));
    await expect(loadChunk(load)).rejects.toThrow('could not be loaded');
    expect(reload).toHaveBeenCalledTimes(1);
  });
  it('waits for a server that is down, without a reload', async () => {
    vi.stubGlobal(
      'fetch',
      vi.fn(async () => Promise.reject(new Error('refused'))),
    );
    const reload = vi.spyOn(location, 'reload').mockImplementation(() => undefined);
    const load = vi.fn<() => Promise<string>>().mockRejectedValueOnce(new Error('refused')).mockResolvedValue('part');
    const part = loadChunk(load);
    await vi.waitFor(() => expect(reachability.get().up).toBe(false));
    expect(load).toHaveBeenCalledTimes(1);
    reportReachability(true);
    await expect(part).resolves.toBe('part');
    expect(reload).not.toHaveBeenCalled();
  });
});

describe('a part of the page', () => {
  it('is stood for until it is there, and from then on is there at once', async () => {
    const load = vi.fn(async () => ({ default: ({ name }: { name: string }) => createElement('b', {}, name) }));
    const Part = lazyChunk(load);
    const first = render(createElement(Part, { name: 'one', hold: 'waiting' }));
    expect(first.container.textContent).toBe('waiting');
    expect(await screen.findByText('one')).toBeTruthy();
    first.unmount();
    expect(render(createElement(Part, { name: 'two' })).container.textContent).toBe('two');
    expect(load).toHaveBeenCalledTimes(1);
  });
});
