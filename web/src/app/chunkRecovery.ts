// SPDX-License-Identifier: Apache-2.0
// After an upgrade the old page asks for chunks that are gone: load the new page once, never in a loop.

const KEY = 'tocayo.reloaded-for-chunk';

export function reloadOnceOnMissingChunk(): void {
  window.addEventListener('vite:preloadError', (event) => {
    try {
      const last = Number(sessionStorage.getItem(KEY) ?? 0);
      if (Date.now() - last < 60_000) return;
      sessionStorage.setItem(KEY, String(Date.now()));
    } catch {
      return;
    }
    event.preventDefault();
    location.reload();
  });
}
