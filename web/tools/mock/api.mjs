// SPDX-License-Identifier: Apache-2.0
// Development only: the HTTP half of the contract. Metrics are real (proxied), accounts live in memory.
import { randomBytes } from 'node:crypto';
import { createAdmin } from './admin.mjs';
import { selfMetrics } from './self.mjs';

const readBody = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

export function createApi({ prom, auth, empty, hostname, base }) {
  const started = Date.now();
  const sessions = new Map();
  const shorts = new Map();
  const admin = createAdmin();
  const me = {};

  const json = (response, status, value, headers = {}) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(status === 204 ? undefined : JSON.stringify(value));
    return true;
  };
  const userOf = (request) => {
    const session = /tocayo_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1];
    return session ? (sessions.get(session) ?? null) : null;
  };

  async function query(expr) {
    const response = await fetch(`${prom}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: expr }),
    });
    return (await response.json()).data?.result ?? [];
  }
  const one = async (expr) => {
    const value = (await query(expr).catch(() => []))[0]?.value?.[1];
    return value === undefined ? null : Number(value);
  };

  async function home() {
    const nowMs = Date.now();
    if (empty)
      return {
        nowMs,
        lastSampleMs: null,
        ingestRate: 0,
        activeSeries: 0,
        hosts: [],
        targets: { up: 0, down: [] },
        health: [],
        events: [],
        self: { version: 'dev', uptimeSeconds: (nowMs - started) / 1000, rssBytes: 0, cpuSecondsTotal: 0 },
      };
    const [cpu, memory, disk, os, up, down] = await Promise.all([
      one('1 - avg(rate(node_cpu_seconds_total{mode="idle"}[10s]))'),
      one('1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes'),
      one('max(1 - node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes)'),
      query('node_uname_info').catch(() => []),
      one('count(up == 1)'),
      query('up == 0').catch(() => []),
    ]);
    const uname = os[0]?.metric ?? {};
    return {
      nowMs,
      lastSampleMs: nowMs - 400,
      ingestRate:
        (await one('sum(rate(prometheus_tsdb_head_samples_appended_total[10s]))')) ??
        (await one('sum(scrape_samples_scraped)')) ??
        0,
      activeSeries: (await one('count({__name__!=""})')) ?? 0,
      hosts: os.length
        ? [
            {
              instance: hostname,
              hostname: uname.nodename,
              job: 'node',
              os: `${uname.sysname} ${uname.release}`,
              lastSeenMs: nowMs - 600,
              cpu,
              memory,
              disk,
            },
          ]
        : [],
      targets: {
        up: up ?? 0,
        down: down.map((d) => ({
          job: d.metric.job,
          instance: d.metric.instance,
          lastError: 'dial tcp 127.0.0.1:1: connect: connection refused',
          sinceMs: started,
        })),
      },
      health: [
        { id: 'wal', state: 'ok', message: 'The journal takes writes.' },
        { id: 'disk', state: 'ok', message: '81 % free' },
      ],
      events: [
        { timeMs: started, kind: 'start', title: 'Tocayo started', detail: 'version dev' },
        { timeMs: started + 2000, kind: 'config', title: 'Configuration loaded', detail: 'tocayo.yaml' },
      ],
      self: {
        version: 'dev',
        uptimeSeconds: (nowMs - started) / 1000,
        rssBytes: process.memoryUsage().rss,
        cpuSecondsTotal: process.cpuUsage().user / 1e6,
      },
    };
  }

  async function search(q) {
    const names = await (await fetch(`${prom}/api/v1/label/__name__/values`)).json().then(
      (j) => j.data,
      () => [],
    );
    const needle = q.toLowerCase();
    const hosts = hostname.includes(needle)
      ? [{ kind: 'host', title: hostname, subtitle: 'node', href: `/hosts/${hostname}` }]
      : [];
    return [
      ...hosts,
      ...names
        .filter((n) => n.includes(needle))
        .slice(0, 20)
        .map((n) => ({ kind: 'metric', title: n, subtitle: '', href: `/explore?metric=${n}` })),
    ];
  }

  const TREES = {
    up: { type: 'vectorSelector', name: 'up', offset: 0, matchers: [], timestamp: null, startOrEnd: null },
  };

  async function proxy(request, response, url) {
    if (url.pathname.endsWith('/parse_query')) {
      const form = new URLSearchParams((await readBody(request)).toString());
      const { parseTree } = await import('./parse.mjs');
      const tree = TREES[form.get('query')] ?? parseTree(form.get('query'));
      return json(
        response,
        tree ? 200 : 400,
        tree
          ? { status: 'success', data: tree }
          : { status: 'error', errorType: 'bad_data', error: 'the mock cannot parse this' },
      );
    }
    const body = request.method === 'POST' ? await readBody(request) : undefined;
    const answer = await fetch(`${prom}${url.pathname.slice(base.length)}${url.search}`, {
      method: request.method,
      body,
      headers: body ? { 'Content-Type': request.headers['content-type'] ?? '' } : {},
    });
    response.writeHead(answer.status, { 'Content-Type': 'application/json' });
    response.end(Buffer.from(await answer.arrayBuffer()));
    return true;
  }

  async function login(request, response) {
    const { login: name, password } = JSON.parse((await readBody(request)).toString());
    const user = admin.users.find((u) => u.login === name);
    if (!user || password !== 'correct horse battery')
      return json(response, 401, { code: 'bad_credentials', message: 'Name or password is wrong.', params: {} });
    const id = randomBytes(12).toString('hex');
    const shape = { id: user.id, login: user.login, name: user.name, role: 'admin', instanceAdmin: true };
    sessions.set(id, shape);
    return json(
      response,
      200,
      { user: shape },
      { 'Set-Cookie': `tocayo_session=${id}; HttpOnly; SameSite=Lax; Path=/` },
    );
  }

  return {
    boot: (request) => ({
      product: 'Tocayo',
      version: 'dev',
      revision: 'mock',
      promVersion: '3.7.0',
      basePath: base,
      authMode: auth ? 'required' : 'off',
      user: auth ? userOf(request) : null,
      tenant: 'anonymous',
      tenants: ['anonymous'],
      csrfHeader: 'X-Tocayo-Csrf',
      hostname,
      startTimeMs: started,
    }),
    async handle(request, response, path, url) {
      if (path === '/-/healthy') return json(response, 200, {});
      if (path === '/metrics') {
        response.writeHead(200, { 'Content-Type': 'text/plain; version=0.0.4' });
        response.end(selfMetrics(started));
        return true;
      }
      const api = path.startsWith('/api/') || path.startsWith('/tenancy/');
      if (api && request.method !== 'GET' && request.headers['x-tocayo-csrf'] !== '1')
        return json(response, 403, { code: 'csrf', message: 'header missing', params: {} });
      if (path === '/api/ui/login') return login(request, response);
      if (path === '/api/ui/setup')
        return json(response, 403, { code: 'bad_token', message: 'The link was used or is too old.', params: {} });
      if (api && auth && !userOf(request))
        return json(response, 401, { code: 'unauthenticated', message: 'Sign in first.', params: {} });
      if (path === '/api/ui/logout')
        return json(response, 204, null, { 'Set-Cookie': 'tocayo_session=; Max-Age=0; Path=/' });
      if (path === '/api/ui/me' && request.method === 'PUT')
        Object.assign(me, JSON.parse((await readBody(request)).toString()));
      if (path === '/api/ui/me') return json(response, 200, { ...userOf(request), ...me });
      if (path === '/api/ui/me/password') return json(response, 204, null);
      if (path === '/api/ui/home') return json(response, 200, await home());
      if (path === '/api/ui/search')
        return json(response, 200, { results: await search(url.searchParams.get('q') ?? '') });
      if (path === '/api/short-urls') {
        const uid = randomBytes(5).toString('hex');
        shorts.set(uid, JSON.parse((await readBody(request)).toString()).path);
        return json(response, 200, { uid, url: `${base}/goto/${uid}` });
      }
      if (path.startsWith('/goto/')) {
        const target = shorts.get(path.slice(6));
        response.writeHead(target ? 302 : 404, target ? { Location: `${base}/${target}` } : {});
        response.end();
        return true;
      }
      if (path.startsWith('/tenancy/api/v1/'))
        return admin.handle(request, response, path.slice(16), url, json, readBody);
      if (path.startsWith('/api/v1/')) return proxy(request, response, url);
      return false;
    },
  };
}
