// SPDX-License-Identifier: Apache-2.0
// What the worker can be asked to do. The same functions run on the page's own thread where there is no worker.
import { decodeMatrix, type Grid, type RangeFrame, transferables } from './matrix';
import { type Completions, NameIndex, type NameSlice } from './names';

/** What the worker fetches by itself, with the headers that the page would send. */
export interface From {
  url: string;
  headers: Record<string, string>;
}

export type Job =
  | { kind: 'matrix'; bytes: ArrayBuffer; grid: Grid }
  | { kind: 'names'; from: From }
  | { kind: 'help'; from: From }
  | { kind: 'find'; text: string; types: string[] }
  | { kind: 'slice'; from: number; to: number }
  | { kind: 'complete'; text: string; limit: number };

/** What is made of a list: how many names there are; how many metrics each type has. */
export interface Loads {
  names: number;
  help: Record<string, number>;
}

/** The answer to a fetch of the worker: what was made of it, or the body of a refusal. */
export interface Loaded<K extends keyof Loads> {
  status: number;
  requestId: string | null;
  body: string;
  value: Loads[K] | null;
}

export interface Results {
  matrix: RangeFrame;
  names: Loaded<'names'>;
  help: Loaded<'help'>;
  find: number;
  slice: NameSlice[];
  complete: Completions;
}

export interface Outcome {
  value: Results[keyof Results];
  transfer: ArrayBuffer[];
}

const TIMEOUT_MS = 60_000;

async function load<K extends keyof Loads>(from: From, read: (bytes: ArrayBuffer) => Loads[K]): Promise<Outcome> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await fetch(from.url, { headers: from.headers, credentials: 'same-origin', signal });
  const { ok, status } = answer;
  const requestId = answer.headers.get('X-Request-Id');
  const value: Loaded<K> = ok
    ? { status, requestId, body: '', value: read(await answer.arrayBuffer()) }
    : { status, requestId, body: await answer.text(), value: null };
  return { value: value as Outcome['value'], transfer: [] };
}

/** One state per worker: the names it was given last. */
export function createRunner(): (job: Job) => Outcome | Promise<Outcome> {
  const index = new NameIndex();
  return (job) => {
    switch (job.kind) {
      case 'matrix': {
        const frame = decodeMatrix(job.bytes, job.grid);
        return { value: frame, transfer: transferables(frame) };
      }
      case 'names':
        return load<'names'>(job.from, (bytes) => index.load(bytes));
      case 'help':
        return load<'help'>(job.from, (bytes) => index.describe(bytes));
      case 'find':
        return { value: index.find(job.text, job.types), transfer: [] };
      case 'complete':
        return { value: index.complete(job.text, job.limit), transfer: [] };
      default:
        return { value: index.slice(job.from, job.to), transfer: [] };
    }
  };
}
