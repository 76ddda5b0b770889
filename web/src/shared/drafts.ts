// SPDX-License-Identifier: Apache-2.0
// What somebody typed and did not save yet, kept in this browser's IndexedDB: it survives a crash, a reload and the end
// of a session. Never give it a password.
import { useCallback, useEffect, useRef, useState } from 'react';
import { boot } from './api/boot';
import { currentTenant } from './api/tenant';

interface Kept {
  value: unknown;
  atMs: number;
}

const DATABASE = 'tocayo-drafts';
const STORE = 'drafts';
const LIFETIME_MS = 7 * 86_400_000;

function database(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
}

/** Without storage (private mode) typing goes on; only the safety net is missing. */
async function withStore<T>(
  mode: IDBTransactionMode,
  run: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | null> {
  if (typeof indexedDB === 'undefined') return null;
  try {
    const db = await database();
    try {
      return await new Promise<T>((resolve, reject) => {
        const asked = run(db.transaction(STORE, mode).objectStore(STORE));
        asked.onsuccess = () => resolve(asked.result);
        asked.onerror = () => reject(asked.error);
      });
    } finally {
      db.close();
    }
  } catch {
    return null;
  }
}

const keyOf = (name: string) => `${boot.user?.id ?? 0}/${currentTenant()}/${name}`;

export async function readDraft(name: string, nowMs = Date.now()): Promise<unknown> {
  const kept = (await withStore('readonly', (store) => store.get(keyOf(name)))) as Kept | null | undefined;
  if (!kept) return undefined;
  if (nowMs - kept.atMs <= LIFETIME_MS) return kept.value;
  await dropDraft(name);
  return undefined;
}

export async function writeDraft(name: string, value: unknown, nowMs = Date.now()): Promise<void> {
  await withStore('readwrite', (store) => store.put({ value, atMs: nowMs } satisfies Kept, keyOf(name)));
}

export async function dropDraft(name: string): Promise<void> {
  await withStore('readwrite', (store) => store.delete(keyOf(name)));
}

export interface Draft<T> {
  value: T;
  set: (change: Partial<T>) => void;
  /** Forgets what was kept: it was saved, or nobody wants it. */
  drop: () => void;
  /** Back to the beginning. */
  reset: () => void;
  /** True when `value` came from an earlier visit. */
  restored: boolean;
}

/** Form fields that outlive the page. `initial` is read once. */
export function useDraft<T extends object>(name: string, initial: T): Draft<T> {
  const [first] = useState(initial);
  const [value, setValue] = useState<T>(first);
  const [restored, setRestored] = useState(false);
  const touched = useRef(false);
  useEffect(() => {
    let here = true;
    void readDraft(name).then((kept) => {
      // Typing wins over a draft that comes late.
      if (!here || touched.current || !kept || typeof kept !== 'object') return;
      const known = Object.fromEntries(Object.entries(kept).filter(([key]) => key in first));
      setValue((previous) => ({ ...previous, ...known }));
      setRestored(true);
    });
    return () => {
      here = false;
    };
  }, [name, first]);
  const set = useCallback(
    (change: Partial<T>) => {
      touched.current = true;
      setValue((previous) => {
        const next = { ...previous, ...change };
        void writeDraft(name, next);
        return next;
      });
    },
    [name],
  );
  const drop = useCallback(() => void dropDraft(name), [name]);
  const reset = useCallback(() => {
    void dropDraft(name);
    setValue(first);
    setRestored(false);
  }, [name, first]);
  return { value, set, drop, reset, restored };
}
