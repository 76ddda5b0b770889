// SPDX-License-Identifier: Apache-2.0
// What the worker can be asked to do. The same functions run on the page's own thread where there is no worker.
import { decodeMatrix, type Grid, type RangeFrame, transferables } from './matrix';
import { type Completions, NameIndex, type NameSlice } from './names';

export type Job =
  | { kind: 'matrix'; bytes: ArrayBuffer; grid: Grid }
  | { kind: 'names'; bytes: ArrayBuffer }
  | { kind: 'help'; bytes: ArrayBuffer }
  | { kind: 'find'; text: string; types: string[] }
  | { kind: 'slice'; from: number; to: number }
  | { kind: 'complete'; text: string; limit: number };

export interface Results {
  matrix: RangeFrame;
  names: number;
  help: Record<string, number>;
  find: number;
  slice: NameSlice[];
  complete: Completions;
}

export interface Outcome {
  value: Results[keyof Results];
  transfer: ArrayBuffer[];
}

/** One state per worker: the names it was given last. */
export function createRunner(): (job: Job) => Outcome {
  const index = new NameIndex();
  return (job) => {
    switch (job.kind) {
      case 'matrix': {
        const frame = decodeMatrix(job.bytes, job.grid);
        return { value: frame, transfer: transferables(frame) };
      }
      case 'names':
        return { value: index.load(job.bytes), transfer: [] };
      case 'help':
        return { value: index.describe(job.bytes), transfer: [] };
      case 'find':
        return { value: index.find(job.text, job.types), transfer: [] };
      case 'complete':
        return { value: index.complete(job.text, job.limit), transfer: [] };
      default:
        return { value: index.slice(job.from, job.to), transfer: [] };
    }
  };
}
