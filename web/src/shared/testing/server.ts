// SPDX-License-Identifier: Apache-2.0
// A server that a test makes up: it answers by path and takes note of what it was asked.
import { vi } from 'vitest';

export interface Asked {
  method: string;
  path: string;
  /** Of the address, and of the form in the body. */
  params: URLSearchParams;
  json: unknown;
  headers: Headers;
}

type Answer = unknown | ((asked: Asked) => unknown);

export class FakeServer {
  readonly asked: Asked[] = [];
  private readonly routes: [string, RegExp, Answer][] = [];

  /** `GET /path`; `:x` stands for one part. The newest route that fits answers. */
  on(route: string, answer: Answer): this {
    const [method = 'GET', path = ''] = route.split(' ');
    const pattern = new RegExp(`^${path.replace(/:\w+/g, '[^/]+')}$`);
    this.routes.unshift([method, pattern, answer]);
    return this;
  }

  /** What was asked of a route so far. */
  to(route: string): Asked[] {
    const [method = 'GET', path = ''] = route.split(' ');
    const pattern = new RegExp(`^${path.replace(/:\w+/g, '[^/]+')}$`);
    return this.asked.filter((a) => a.method === method && pattern.test(a.path));
  }

  private readonly fetch = async (input: string | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(String(input), 'http://localhost');
    const body = typeof init.body === 'string' ? init.body : '';
    const headers = new Headers(init.headers);
    const form = headers.get('Content-Type')?.includes('form') ? new URLSearchParams(body) : null;
    const params = new URLSearchParams([...url.searchParams, ...(form ?? [])]);
    const json = body !== '' && !form ? JSON.parse(body) : undefined;
    const asked: Asked = { method: init.method ?? 'GET', path: url.pathname, params, json, headers };
    this.asked.push(asked);
    init.signal?.throwIfAborted();
    const route = this.routes.find(([method, path]) => method === asked.method && path.test(asked.path));
    if (!route) return refusal(404, 'not_found', `nothing at ${asked.method} ${asked.path}`);
    const answer = typeof route[2] === 'function' ? await route[2](asked) : route[2];
    if (answer instanceof Response) return answer;
    return answer === undefined ? new Response('') : Response.json(answer);
  };

  start(): this {
    vi.stubGlobal('fetch', this.fetch);
    return this;
  }
}

export function refusal(status: number, code: string, message: string): Response {
  return Response.json({ code, message, params: {} }, { status, headers: { 'X-Request-Id': 'r-1' } });
}

export const prom = (data: unknown, more: object = {}) => ({ status: 'success', data, ...more });

export const promError = (message: string, status = 400) =>
  Response.json({ status: 'error', errorType: 'bad_data', error: message }, { status });

export interface FakeSeries {
  metric: Record<string, string>;
  value: (step: number) => number;
}

/** A range answer with a value for each step that was asked for. */
export const matrix =
  (...series: FakeSeries[]) =>
  ({ params }: Asked) => {
    const [start, end, step] = ['start', 'end', 'step'].map((key) => Number(params.get(key))) as [
      number,
      number,
      number,
    ];
    const count = Math.floor((end - start) / step) + 1;
    const result = series.map(({ metric, value }) => ({
      metric,
      values: Array.from({ length: count }, (_, k) => [start + k * step, String(value(k))]),
    }));
    return prom({ resultType: 'matrix', result });
  };

export const vector = (...rows: [Record<string, string>, number | string][]) =>
  prom({ resultType: 'vector', result: rows.map(([metric, value]) => ({ metric, value: [1, String(value)] })) });
