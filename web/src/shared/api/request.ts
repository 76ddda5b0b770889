// SPDX-License-Identifier: Apache-2.0
// The one way out to the server: abort, timeout, retry of idempotent reads, tenant and CSRF headers, error decoding.
import { boot, withBase } from './boot';
import { reportReachability } from './reachability';
import { currentTenant } from './tenant';

export interface ApiErrorShape {
  code: string;
  message: string;
  params: Record<string, string | number>;
}

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly params: Record<string, string | number>;
  readonly requestId: string | null;
  readonly body: string;

  constructor(status: number, shape: ApiErrorShape, requestId: string | null, body: string) {
    super(shape.message);
    this.name = 'ApiError';
    this.status = status;
    this.code = shape.code;
    this.params = shape.params;
    this.requestId = requestId;
    this.body = body;
  }
}

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  json?: unknown;
  form?: URLSearchParams;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  headers?: Record<string, string>;
  /** Who asks: the page itself, or a worker for it (`shared/frames/loaded.ts`). */
  via?: (url: string, init: RequestInit) => Promise<Response>;
}

const RETRYABLE = new Set([502, 503, 504]);

export function decodeError(status: number, body: string, requestId: string | null): ApiError {
  let shape: ApiErrorShape = { code: `http_${status}`, message: body.slice(0, 300) || `HTTP ${status}`, params: {} };
  try {
    const value = JSON.parse(body) as Record<string, unknown>;
    if (value.status === 'error') {
      // Prometheus' envelope.
      shape = { code: String(value.errorType ?? 'internal'), message: String(value.error ?? ''), params: {} };
    } else if (typeof value.code === 'string') {
      shape = {
        code: value.code,
        message: String(value.message ?? ''),
        params: (value.params ?? {}) as ApiErrorShape['params'],
      };
    }
  } catch {
    // Not JSON: the text itself is the message.
  }
  return new ApiError(status, shape, requestId, body);
}

function buildInit(options: RequestOptions, signal: AbortSignal): RequestInit {
  const method = options.method ?? 'GET';
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  const tenant = currentTenant();
  if (tenant) headers['X-Scope-OrgID'] = tenant;
  if (method !== 'GET') headers[boot.csrfHeader] = '1';
  const init: RequestInit = { method, headers, signal, credentials: 'same-origin' };
  if (options.json !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.json);
  } else if (options.form) {
    headers['Content-Type'] = 'application/x-www-form-urlencoded';
    init.body = options.form.toString();
  }
  return init;
}

async function once(path: string, options: RequestOptions): Promise<Response> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? 60_000);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  try {
    const response = await (options.via ?? fetch)(withBase(path), buildInit(options, signal));
    reportReachability(!RETRYABLE.has(response.status));
    return response;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (timeout.aborted)
      throw new ApiError(0, { code: 'timeout', message: 'The request took too long.', params: {} }, null, '');
    reportReachability(false);
    throw new ApiError(0, { code: 'unreachable', message: 'The server did not answer.', params: {} }, null, '');
  }
}

/** A response that says success; anything else is thrown as an ApiError. */
async function answer(path: string, options: RequestOptions): Promise<Response> {
  const attempts = (options.method ?? 'GET') === 'GET' ? 3 : 1;
  for (let attempt = 1; ; attempt++) {
    const response = await once(path, options);
    if (response.ok) return response;
    const body = await response.text();
    if (attempt < attempts && RETRYABLE.has(response.status)) {
      await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
      continue;
    }
    if (response.status === 401 && boot.authMode === 'required')
      window.dispatchEvent(new CustomEvent('tocayo:session-expired'));
    throw decodeError(response.status, body, response.headers.get('X-Request-Id'));
  }
}

export async function requestText(path: string, options: RequestOptions = {}): Promise<string> {
  return (await answer(path, options)).text();
}

/** The body as it came, for a worker to decode. */
export async function requestBytes(path: string, options: RequestOptions = {}): Promise<ArrayBuffer> {
  return (await answer(path, options)).arrayBuffer();
}

export async function request<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const body = await requestText(path, options);
  return (body === '' ? undefined : JSON.parse(body)) as T;
}
