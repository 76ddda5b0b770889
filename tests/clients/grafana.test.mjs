// SPDX-License-Identifier: Apache-2.0
// Grafana's data sources, Prometheus (13.1.7) and Loki (13.1.0): the requests that their own code sent, in its order and
// with its parameters and headers, and of each answer what that code reads. The shapes of all answers to the Loki data
// source are in tests/e2e/logs_clients_test.cpp.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { Server, until } from './server.mjs';

const server = new Server({ 'auth.mode': 'required' });
const now = Math.floor(Date.now() / 1000);
const range = { start: String(now - 3600), end: String(now + 60) };
const nanos = { start: `${now - 3600}000000000`, end: `${now + 60}000000000` };
const admin = { login: 'ana', password: 'correct horse battery' };
const basic = (user, password) => ({ Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });
const asAdmin = basic(admin.login, admin.password);
const json = { 'Content-Type': 'application/json' };
let token;
const bearer = () => ({ Authorization: `Bearer ${token}` });

async function send(method, path, { query, form, body, headers = bearer() } = {}) {
  const answer = await fetch(`${server.url}${path}${query ? `?${new URLSearchParams(query)}` : ''}`, {
    method,
    headers: form ? { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' } : headers,
    body: form ? String(new URLSearchParams(form)) : body,
  });
  const text = await answer.text();
  return { status: answer.status, text, json: () => JSON.parse(text) };
}

/** A query of the Prometheus data source, which is set to POST (forms) or GET. */
const asks = (method, path, parameters) =>
  send(method, `/api/v1/${path}`, method === 'POST' ? { form: parameters } : { query: parameters });

before(async () => {
  await server.start();
  const link = await until('the set-up link', () => /\/setup\?token=([\w-]+)/.exec(server.log)?.[1]);
  const made = await send('POST', '/api/ui/setup', {
    headers: { ...json, 'X-Tocayo-Csrf': '1' },
    body: JSON.stringify({ token: link, name: 'Ana', ...admin }),
  });
  assert.equal(made.status, 200, made.text);
  const tenant = await send('POST', '/tenancy/api/v1/tenants', {
    headers: { ...asAdmin, ...json },
    body: JSON.stringify({ name: 'team-a', displayName: 'Team A' }),
  });
  assert.equal(tenant.status, 201, tenant.text);
  const secret = await send('POST', '/tenancy/api/v1/tokens', {
    headers: { ...asAdmin, ...json },
    body: JSON.stringify({ name: 'grafana', tenant: 'anonymous', scopes: ['metrics:read', 'logs:read', 'rules:read'] }),
  });
  token = /tcy_[\w-]+/.exec(secret.text)?.[0];
  assert.ok(token, secret.text);
  for (const name of ['anonymous', 'team-a']) {
    const headers = { ...asAdmin, 'X-Scope-OrgID': name };
    const metrics = await send('POST', '/api/v1/import/prometheus', {
      headers: { ...headers, 'Content-Type': 'application/openmetrics-text; version=1.0.0' },
      body: [
        '# HELP shop_requests Requests answered.',
        '# TYPE shop_requests counter',
        `shop_requests_total{path="/${name}"} 3`,
        '# TYPE shop_seconds histogram',
        `shop_seconds_bucket{le="1.0"} 3 # {trace_id="t1"} 0.5 ${now - 60}.5`,
        'shop_seconds_bucket{le="+Inf"} 4',
        'shop_seconds_count 4',
        'shop_seconds_sum 5',
        '# EOF',
        '',
      ].join('\n'),
    });
    assert.equal(metrics.status, 204, metrics.text);
    const lines = await send('POST', '/loki/api/v1/push', {
      headers: { ...headers, ...json },
      body: JSON.stringify({
        streams: [{ stream: { app: 'web', team: name }, values: [[`${now - 30}000000000`, `hello ${name}`]] }],
      }),
    });
    assert.equal(lines.status, 204, lines.text);
  }
});
after(() => server.stop());

for (const method of ['POST', 'GET']) {
  test(`Prometheus by ${method}: save and test, queries, errors`, async () => {
    const sum = await asks(method, 'query', { query: '1+1', time: '4', timeout: '60s' });
    assert.deepEqual(sum.json().data, { resultType: 'scalar', result: [4, '2'] });
    const soon = String(now + 60);
    const found = await asks(method, 'query', { query: 'shop_requests_total', time: soon, timeout: '60s' });
    const { resultType, result } = found.json().data;
    assert.equal(resultType, 'vector');
    assert.deepEqual(
      result.map(({ metric, value }) => [metric, value[1]]),
      [[{ __name__: 'shop_requests_total', path: '/anonymous' }, '3']],
    );
    const over = { start: String(now - 600), end: soon, step: '5', timeout: '60s' };
    const series = await asks(method, 'query_range', { query: 'sum by (le) (shop_seconds_bucket)', ...over });
    assert.equal(series.json().data.resultType, 'matrix');
    assert.deepEqual(series.json().data.result.map(({ metric }) => metric.le).sort(), ['+Inf', '1.0']);
    const exemplars = await asks(method, 'query_exemplars', { query: 'rate(shop_seconds_bucket[1m])', ...range });
    assert.deepEqual(exemplars.json().data, [
      {
        seriesLabels: { __name__: 'shop_seconds_bucket', le: '1.0' },
        exemplars: [{ labels: { trace_id: 't1' }, value: '0.5', timestamp: now - 60 + 0.5 }],
      },
    ]);
    const nothing = await asks(method, 'query_range', { query: 'no_such_metric', ...over });
    assert.deepEqual(nothing.json().data, { resultType: 'matrix', result: [] });
    const hint = await asks(method, 'query_range', { query: 'rate(shop_seconds_sum[1m]) or rate(shop[1m])', ...over });
    assert.equal(hint.json().status, 'success');
    // It shows errorType and error, whatever the status.
    const wrong = await asks(method, 'query_range', { query: 'rate(shop[5m', ...over });
    assert.equal(wrong.status, 400);
    assert.equal(wrong.json().status, 'error');
    assert.equal(wrong.json().errorType, 'bad_data');
    assert.match(wrong.json().error, /unclosed left parenthesis/);
  });

  test(`Prometheus by ${method}: the query builder`, async () => {
    const labels = await asks(method, 'labels', { 'match[]': 'shop_requests_total', limit: '40000', ...range });
    assert.deepEqual(labels.json().data, ['__name__', 'path']);
    const series = await asks(method, 'series', { 'match[]': 'shop_requests_total', limit: '40000', ...range });
    assert.deepEqual(series.json().data, [{ __name__: 'shop_requests_total', path: '/anonymous' }]);
  });
}

test('Prometheus: what is asked by GET only, and suggestions', async () => {
  // Members named features would make it a Mimir, with rules that it can write.
  const info = (await send('GET', '/api/v1/status/buildinfo')).json().data;
  assert.match(info.version, /^3\.\d+\.\d+$/);
  assert.equal(info.features, undefined);
  const names = await send('GET', '/api/v1/label/__name__/values', { query: { limit: '40000', ...range } });
  assert.ok(names.json().data.includes('shop_requests_total'));
  const paths = await send('GET', '/api/v1/label/path/values', {
    query: { 'match[]': 'shop_requests_total', limit: '40000', ...range },
  });
  assert.deepEqual(paths.json().data, ['/anonymous']);
  const metadata = (await send('GET', '/api/v1/metadata', { query: { limit: '40000' } })).json().data;
  assert.equal(metadata.shop_requests[0].type, 'counter');
  assert.equal(metadata.shop_requests[0].help, 'Requests answered.');
  assert.deepEqual((await send('GET', '/api/v1/rules')).json().data, { groups: [] });
  assert.deepEqual((await send('GET', '/api/v1/alerts')).json().data, { alerts: [] });
  // Suggestions: POST without a body, all in the address.
  const matching = { 'match[]': 'shop_requests_total{path!="/other"}', limit: '100', ...range };
  const suggested = await send('POST', '/api/v1/labels', {
    query: matching,
    headers: { ...bearer(), 'Content-Type': 'application/x-www-form-urlencoded' },
  });
  assert.deepEqual(suggested.json().data, ['__name__', 'path']);
});

const flags = { 'X-Loki-Response-Encoding-Flags': 'categorize-labels' };

test('Loki: save and test, lines, their volume, errors as texts', async () => {
  const ask = (query, headers = {}, path = 'query_range') =>
    send('GET', `/loki/api/v1/${path}`, { query, headers: { ...bearer(), ...flags, ...headers } });
  const health = { direction: 'backward', query: 'vector(1)+vector(1)', time: '4000000000' };
  assert.deepEqual((await ask(health, {}, 'query')).json().data.result, [{ metric: {}, value: [4_000_000_000, '2'] }]);
  const lines = { direction: 'backward', limit: '1000', query: '{app="web"}', step: '5000ms', ...nanos };
  for (const headers of [
    {},
    { 'X-Query-Tags': 'Source=logsample' },
    { 'X-Query-Tags': 'Source=infinitescroll' },
    {
      'X-Loki-Query-Limits-Context': JSON.stringify({
        Expr: '{app="web"}',
        From: new Date((now - 3600) * 1000).toISOString(),
        To: new Date(now * 1000).toISOString(),
      }),
    },
  ]) {
    const { data } = (await ask(lines, headers)).json();
    assert.deepEqual(data.encodingFlags, ['categorize-labels']);
    assert.deepEqual(
      data.result.map(({ stream, values }) => [stream.team, values[0][1]]),
      [['anonymous', 'hello anonymous']],
    );
  }
  const volume = await ask(
    { ...lines, query: 'sum by (level, detected_level) (count_over_time({app="web"}[5s]))' },
    { 'X-Query-Tags': 'Source=logvolhist' },
  );
  assert.equal(volume.json().data.resultType, 'matrix');
  const wrong = await ask({ ...lines, query: '{app="web"' });
  assert.equal(wrong.status, 400);
  assert.match(wrong.text, /^parse error at line 1, col 11/);
  const values = await send('GET', '/loki/api/v1/label/team/values', {
    query: { query: '{app="web", app="web"}', ...nanos },
  });
  assert.deepEqual(values.json().data, ['anonymous']);
});

/** What the live tail gets through Grafana's proxy: the page's Origin, Referer and cookies are gone, the rest is kept. */
function tail(credentials, host) {
  return new Promise((resolve, reject) => {
    const asked = request(`${server.url}/loki/api/v1/tail?query=${encodeURIComponent('{app="web"}')}`, {
      headers: {
        ...credentials,
        ...(host ? { Host: host } : {}),
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
        'Sec-Fetch-Site': 'same-origin',
        'Sec-Fetch-Mode': 'websocket',
        'Sec-Fetch-Dest': 'empty',
        'User-Agent': 'Grafana/13.1.0',
        'X-Forwarded-For': '192.0.2.7',
        'X-Grafana-Referer': '',
        Via: '1.1 grafana',
      },
    });
    asked.setTimeout(20_000, () => asked.destroy(new Error('no answer')));
    asked.once('error', reject);
    asked.once('response', (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode });
    });
    asked.once('upgrade', (answer, socket, head) => {
      let text = head.toString('latin1');
      const look = () => {
        if (!text.includes('hello')) return;
        socket.destroy();
        resolve({ status: answer.statusCode, text });
      };
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
        look();
      });
      socket.once('error', reject);
      look();
    });
    asked.end();
  });
}

test('Loki: live lines through the proxy of Grafana', async () => {
  for (const credentials of [bearer(), asAdmin]) {
    const { status, text } = await tail(credentials);
    assert.equal(status, 101);
    assert.match(text, /hello anonymous/);
  }
  assert.equal((await tail({})).status, 401);
});

test('credentials and tenants', async () => {
  const both = async (headers) => {
    const path = await send('GET', '/api/v1/label/path/values', { query: range, headers });
    const team = await send('GET', '/loki/api/v1/label/team/values', { query: nanos, headers });
    assert.equal(path.status, team.status);
    return path.status === 200 ? [path.json().data, team.json().data] : path.status;
  };
  const own = [['/anonymous'], ['anonymous']];
  assert.deepEqual(await both(bearer()), own);
  assert.deepEqual(await both(basic('anonymous', token)), own);
  assert.deepEqual(await both(asAdmin), own);
  assert.deepEqual(await both({ ...asAdmin, 'X-Scope-OrgID': 'team-a' }), [['/team-a'], ['team-a']]);
  assert.equal(await both({ ...bearer(), 'X-Scope-OrgID': 'team-a' }), 403);
  assert.equal(await both(basic('team-a', token)), 401);
  assert.equal(await both({}), 401);
});
