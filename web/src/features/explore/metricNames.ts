// SPDX-License-Identifier: Apache-2.0
// The names' worker is filled here, for completion and for the metrics browser alike: what one of them fetched the other has.
import { names } from '@/shared/frames/client';
import type { Loads } from '@/shared/frames/jobs';
import { loadInWorker } from '@/shared/frames/loaded';
import type { Completions } from '@/shared/frames/names';

/** New metrics are seen after this long; of very many a list is large, and kept longer. */
const AGE_MS = 30_000;
const AGE_OF_MANY_MS = 300_000;
/** So many names are few: all of them are completed, and described. */
const FEW_NAMES = 20_000;
/** Of very many the list under the cursor gets so many that fit what is typed; the rest stays in the worker. */
const MOST_NAMES = 500;

export interface Filled<T> {
  value: T;
  /** When it was fetched. */
  at: number;
}

interface Held<K extends keyof Loads> {
  at: number;
  filled: Promise<Filled<Loads[K]>>;
}

const held: { names: Held<'names'> | null; help: Held<'help'> | null } = { names: null, help: null };
const PATHS = { names: '/api/v1/label/__name__/values', help: '/api/v1/metadata' };
let many = false;

function fill<K extends keyof Loads>(kind: K): Promise<Filled<Loads[K]>> {
  const last = held[kind];
  if (last && Date.now() - last.at < (many ? AGE_OF_MANY_MS : AGE_MS)) return last.filled as Promise<Filled<Loads[K]>>;
  const filled = loadInWorker(kind, PATHS[kind]).then((value) => ({ value, at: Date.now() }));
  (held as Record<K, Held<K> | null>)[kind] = { at: Date.now(), filled };
  filled.catch(() => {
    held[kind] = null;
  });
  return filled;
}

/** All names are in the worker: how many. */
export async function fillNames(): Promise<Filled<number>> {
  const filled = await fill('names');
  many = filled.value > FEW_NAMES;
  // The first metric of all is waited for.
  if (filled.value === 0) held.names = null;
  return filled;
}

/** All descriptions are in the worker: how many metrics each type has. */
export const fillHelp = (): Promise<Filled<Record<string, number>>> => fill('help');

/** Names for what is typed, described as far as that costs little: half a million descriptions are 60 MB. */
export async function completeName(text: string): Promise<Completions> {
  const { value: count } = await fillNames();
  if (count <= FEW_NAMES) await fillHelp().catch(() => undefined);
  return names.run({ kind: 'complete', text, limit: MOST_NAMES });
}

/** For tests: as if the page had just been opened. */
export function forgetNames(): void {
  held.names = null;
  held.help = null;
  many = false;
}
