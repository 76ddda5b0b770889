// SPDX-License-Identifier: Apache-2.0
// The page's side of the worker: asks, and gets columns back without a copy. One worker for charts, one for names.
import { createRunner, type Job, type Results } from './jobs';

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

interface Reply {
  id: number;
  value?: unknown;
  error?: string;
}

export class WorkerClient {
  private worker: Worker | null = null;
  private failed = false;
  private nextId = 1;
  private readonly waiting = new Map<number, Waiting>();
  private local: ReturnType<typeof createRunner> | null = null;

  constructor(private readonly make: () => Worker) {}

  /** The bytes of a job move to the worker: the caller cannot use them afterwards. */
  run<K extends keyof Results>(job: Extract<Job, { kind: K }>): Promise<Results[K]> {
    const worker = this.open();
    if (!worker) return this.here(job);
    return new Promise<Results[K]>((resolve, reject) => {
      const id = this.nextId++;
      this.waiting.set(id, { resolve: resolve as never, reject });
      worker.postMessage({ id, job }, 'bytes' in job ? [job.bytes] : []);
    });
  }

  private async here<K extends keyof Results>(job: Extract<Job, { kind: K }>): Promise<Results[K]> {
    this.local ??= createRunner();
    return (await this.local(job)).value as Results[K];
  }

  private open(): Worker | null {
    if (this.worker || this.failed) return this.worker;
    try {
      this.worker = this.make();
    } catch {
      this.failed = true;
      return null;
    }
    this.worker.onmessage = (event: MessageEvent<Reply>) => {
      const { id, value, error } = event.data;
      const waiting = this.waiting.get(id);
      this.waiting.delete(id);
      if (error !== undefined) waiting?.reject(new Error(error));
      else waiting?.resolve(value as never);
    };
    // A worker that cannot load or died: what waits is told, later jobs run here.
    this.worker.onerror = () => {
      this.failed = true;
      this.worker?.terminate();
      this.worker = null;
      for (const { reject } of this.waiting.values()) reject(new Error('The worker of the page stopped.'));
      this.waiting.clear();
    };
    return this.worker;
  }

  close(): void {
    this.worker?.terminate();
    this.worker = null;
  }
}

const make = () => new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'frames' });

export const charts = new WorkerClient(make);
export const names = new WorkerClient(make);
