// SPDX-License-Identifier: Apache-2.0
// Parts of the page that come when they are needed. A part that does not come means one of two things: the server is
// down (wait for it, the banner says so, nothing typed is lost) or it has another build now (load the new page, once).
import { type ComponentType, createElement, type ReactNode, useEffect, useState } from 'react';
import { withBase } from './boot';
import { reachability, reportReachability } from './reachability';

const KEY = 'tocayo.reloaded-for-chunk';

/** Whether this failure may reload the page; asking takes the right away for a minute. */
export function mayReload(storage: Pick<Storage, 'getItem' | 'setItem'>, nowMs: number): boolean {
  try {
    const last = Number(storage.getItem(KEY) ?? 0);
    if (nowMs - last < 60_000) return false;
    storage.setItem(KEY, String(nowMs));
    return true;
  } catch {
    return false;
  }
}

async function serverAnswers(): Promise<boolean> {
  try {
    const answer = await fetch(withBase('/-/healthy'), { cache: 'no-store' });
    reportReachability(answer.ok);
    return answer.ok;
  } catch {
    reportReachability(false);
    return false;
  }
}

function serverIsBack(): Promise<void> {
  if (reachability.get().up) return Promise.resolve();
  return new Promise((resolve) => {
    const off = reachability.subscribe(() => {
      if (!reachability.get().up) return;
      off();
      resolve();
    });
  });
}

/** Loads a part, through an outage and across an upgrade. Rejects when the server answers and still has no such part. */
export async function loadChunk<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    window.dispatchEvent(new CustomEvent('tocayo:chunk-error'));
    if (!(await serverAnswers())) {
      await serverIsBack();
      try {
        return await load();
      } catch {
        // Some browsers remember a module that failed; a new page does not.
      }
    }
    if (!mayReload(sessionStorage, Date.now())) {
      // The router would try a reload of its own for a failed import; this message is not one it knows.
      throw new Error('A part of the page could not be loaded.', { cause: error });
    }
    location.reload();
    return new Promise<never>(() => undefined);
  }
}

/**
 * A component in a chunk of its own; until it is here `hold` stands for it. Not React's `lazy`: what has suspended is shown
 * 300 ms later at the earliest, however soon it came.
 */
export function lazyChunk<P extends object>(
  load: () => Promise<{ default: ComponentType<P> }>,
): ComponentType<P & { hold?: ReactNode }> {
  let here: ComponentType<P> | null = null;
  let coming: Promise<ComponentType<P>> | null = null;
  const come = () => {
    coming ??= loadChunk(load).then((chunk) => {
      here = chunk.default;
      return here;
    });
    return coming;
  };
  // biome-ignore lint/correctness/noComponentHookFactories: called once for each chunk, while its module is read
  return function Part({ hold, ...props }) {
    const [Loaded, setLoaded] = useState(() => here);
    const [failed, setFailed] = useState<Error | null>(null);
    useEffect(() => {
      if (Loaded) return;
      let wanted = true;
      come().then(
        (component) => wanted && setLoaded(() => component),
        (error: Error) => {
          coming = null;
          if (wanted) setFailed(error);
        },
      );
      return () => {
        wanted = false;
      };
    }, [Loaded]);
    if (failed) throw failed;
    return Loaded ? createElement(Loaded, props as unknown as P) : hold;
  };
}
