// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadChunk, mayReload } from './chunks';
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
