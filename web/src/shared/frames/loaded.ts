// SPDX-License-Identifier: Apache-2.0
// Lists that only the worker reads, fetched by the worker itself. On the page's thread the bytes alone would cost pauses:
// half a million metrics are 18 MB of names and 60 MB of descriptions.
import { requestText } from '../api/request';
import { names } from './client';
import type { Loaded, Loads } from './jobs';

/** One `GET` by the names' worker, with the headers, retries and errors of every request; gives what the worker made of it. */
export async function loadInWorker<K extends keyof Loads>(kind: K, path: string): Promise<Loads[K]> {
  let got: Loaded<K> | null = null;
  await requestText(path, {
    via: async (url, init) => {
      const from = { url: new URL(url, location.href).href, headers: init.headers as Record<string, string> };
      got = (await names.run({ kind, from } as never)) as Loaded<K>;
      const headers: HeadersInit = got.requestId === null ? {} : { 'X-Request-Id': got.requestId };
      return new Response(got.body, { status: got.status, headers });
    },
  });
  return (got as unknown as Loaded<K>).value as Loads[K];
}
