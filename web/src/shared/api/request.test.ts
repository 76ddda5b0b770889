// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeServer, prom, promError, refusal, vector } from '../testing/server';
import { boot } from './boot';
import * as api from './prom';
import { probeNow, reachability, reportReachability } from './reachability';
import { ApiError, decodeError, request, requestBytes, requestText } from './request';
import { chooseTenant, currentTenant } from './tenant';

let server: FakeServer;
beforeEach(() => {
  server = new FakeServer().start();
  reportReachability(true);
});
afterEach(() => {
  vi.useRealTimers();
  reportReachability(true);
});

const failed = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: ApiError) => error,
  );

describe('a request', () => {
  it('carries what the server wants to see, and gives JSON, text or bytes', async () => {
    server.on('GET /x', { a: 1 }).on('POST /x', undefined);
    expect(await request('/x')).toEqual({ a: 1 });
    expect(await requestText('/x')).toBe('{"a":1}');
    expect(new TextDecoder().decode(await requestBytes('/x'))).toBe('{"a":1}');
    expect(await request('/x', { method: 'POST', json: { b: 2 } })).toBeUndefined();
    const [get] = server.to('GET /x');
    const [post] = server.to('POST /x');
    expect(get?.headers.get(boot.csrfHeader)).toBeNull();
    expect(post?.headers.get(boot.csrfHeader)).toBe('1');
    expect(post?.headers.get('X-Scope-OrgID')).toBe(boot.tenant);
    expect(post?.json).toEqual({ b: 2 });
  });

  it('is tried again only when it reads and the server says that it may work soon', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true, advanceTimeDelta: 200 });
    const answers = [refusal(503, 'unavailable', 'x'), refusal(502, 'x', 'x'), Response.json({ ok: 1 })];
    server.on('GET /x', () => answers.shift()).on('POST /x', () => refusal(503, 'unavailable', 'replaying'));
    expect(await request('/x')).toEqual({ ok: 1 });
    expect(server.to('GET /x')).toHaveLength(3);
    const error = await failed(request('/x', { method: 'POST' }));
    expect(server.to('POST /x')).toHaveLength(1);
    expect(error).toMatchObject({ status: 503, code: 'unavailable', message: 'replaying', requestId: 'r-1' });
  });

  it('tells an ended session from a refusal, and a silent server from a slow one', async () => {
    const heard = vi.fn();
    window.addEventListener('tocayo:session-expired', heard);
    server.on('GET /x', () => refusal(401, 'unauthorized', 'who are you'));
    await failed(request('/x'));
    expect(heard).not.toHaveBeenCalled();
    boot.authMode = 'required';
    await failed(request('/x'));
    boot.authMode = 'off';
    expect(heard).toHaveBeenCalledOnce();
    window.removeEventListener('tocayo:session-expired', heard);

    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('no route')));
    expect(await failed(request('/x'))).toMatchObject({ code: 'unreachable' });
    expect(reachability.get().up).toBe(false);
    vi.stubGlobal(
      'fetch',
      (_: string, init: RequestInit) =>
        new Promise((_resolve, reject) => {
          init.signal?.addEventListener('abort', () => reject(new Error('aborted')));
        }),
    );
    expect(await failed(request('/x', { timeoutMs: 10 }))).toMatchObject({ code: 'timeout' });
    const stop = new AbortController();
    const stopped = failed(request('/x', { signal: stop.signal }));
    stop.abort();
    expect(await stopped).not.toBeInstanceOf(ApiError);
  });

  it('says in whatever words the server has what is wrong', () => {
    expect(decodeError(400, '{"status":"error","errorType":"bad_data","error":"no"}', null)).toMatchObject({
      code: 'bad_data',
      message: 'no',
    });
    expect(decodeError(400, '{"code":"limit","message":"too many","params":{"n":3}}', 'r')).toMatchObject({
      code: 'limit',
      params: { n: 3 },
    });
    expect(decodeError(500, 'a plain text', null)).toMatchObject({ code: 'http_500', message: 'a plain text' });
    expect(decodeError(500, '', null).message).toBe('HTTP 500');
    expect(decodeError(500, '[1]', null)).toMatchObject({ code: 'http_500', message: '[1]' });
    expect(decodeError(400, '{"status":"error"}', null)).toMatchObject({ code: 'internal', message: '' });
  });
});

describe('reachability', () => {
  it('probes with growing pauses until the server answers', async () => {
    vi.useFakeTimers();
    let up = false;
    server.on('GET /-/healthy', () => (up ? undefined : refusal(503, 'x', 'x')));
    reportReachability(false);
    const first = reachability.get().retryAtMs - Date.now();
    reportReachability(false); // one probe at a time
    await vi.advanceTimersByTimeAsync(first + 10);
    expect(server.to('GET /-/healthy')).toHaveLength(1);
    expect(reachability.get().retryAtMs - Date.now()).toBeGreaterThan(first * 0.9);
    up = true;
    await probeNow();
    expect(reachability.get()).toEqual({ up: true, retryAtMs: 0 });
    vi.stubGlobal('fetch', () => Promise.reject(new Error('gone')));
    await probeNow();
    expect(reachability.get().up).toBe(false);
  });
});

describe('tenants', () => {
  it('are chosen for this browser, and the page starts over with them', () => {
    const reload = vi.spyOn(location, 'reload').mockImplementation(() => undefined);
    const before = currentTenant();
    chooseTenant('blue');
    expect(currentTenant()).toBe('blue');
    expect(localStorage.getItem('tocayo.tenant')).toBe('blue');
    expect(reload).toHaveBeenCalledOnce();
    vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
      throw new Error('private mode');
    });
    chooseTenant(before);
    expect(currentTenant()).toBe(before);
  });
});

describe('the API of Prometheus', () => {
  it('is asked with bodies where queries can be long, and gives data with what the server remarks', async () => {
    server
      .on('POST /api/v1/query', vector([{ a: '1' }, 2]))
      .on('POST /api/v1/labels', prom(['a']))
      .on('GET /api/v1/label/a%2Fb/values', prom(['x']))
      .on('POST /api/v1/series', prom([{ a: '1' }]))
      .on('POST /api/v1/parse_query', prom({ type: 'x' }))
      .on('POST /api/v1/format_query', prom('up'))
      .on('GET /api/v1/metadata', prom({ up: [] }))
      .on('GET /api/v1/status/tsdb', prom({}))
      .on('GET /api/v1/status/buildinfo', prom({ version: '3' }))
      .on('GET /api/v1/status/runtimeinfo', prom({}));
    expect((await api.queryInstant('up', 1500)).data).toMatchObject({ resultType: 'vector' });
    expect(Object.fromEntries(server.to('POST /api/v1/query')[0]?.params ?? [])).toEqual({ query: 'up', time: '1.5' });
    expect(await api.labelNames()).toEqual(['a']);
    await api.labelNames('up');
    expect(server.to('POST /api/v1/labels').map((a) => a.params.get('match[]'))).toEqual([null, 'up']);
    expect(await api.labelValues('a/b', '{x="&"}', 9)).toEqual(['x']);
    expect(Object.fromEntries(server.asked.at(-1)?.params ?? [])).toEqual({ 'match[]': '{x="&"}', limit: '9' });
    await api.seriesOf('up', 7);
    expect(server.asked.at(-1)?.params.get('limit')).toBe('7');
    expect(await api.parseQuery('up')).toEqual({ type: 'x' });
    expect(await api.formatQuery(' up')).toBe('up');
    expect(await api.metadataOf('up')).toBeUndefined();
    expect(server.asked.at(-1)?.params.get('metric')).toBe('up');
    await api.tsdbStatus(5);
    expect(server.asked.at(-1)?.params.get('limit')).toBe('5');
    expect(await api.buildInfo()).toEqual({ version: '3' });
    expect(await api.runtimeInfo()).toEqual({});
    server.on('POST /api/v1/query', () => promError('1:2: no'));
    expect((await failed(api.queryInstant('(', 0))).message).toBe('1:2: no');
  });
});
