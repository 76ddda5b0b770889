// SPDX-License-Identifier: Apache-2.0
import { withBase } from '@/shared/api/boot';

/** After the page is up, so that it costs the first paint nothing. Plain HTTP away from localhost has no workers. */
export function registerWorker(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  const register = () =>
    void navigator.serviceWorker.register(withBase('/sw.js'), { scope: withBase('/') }).catch(() => undefined);
  if (document.readyState === 'complete') register();
  else window.addEventListener('load', register, { once: true });
}
