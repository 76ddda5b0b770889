// SPDX-License-Identifier: Apache-2.0
// Query libraries: what @myunisoft/loki reads, what @sigyn/logql writes, and what @grafana/lezer-logql calls valid.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parser } from '@grafana/lezer-logql';
import { GrafanaApi } from '@myunisoft/loki';
import { LabelFilters, LineFilters, LogQL, ParserExpression, StreamSelector } from '@sigyn/logql';
import { parse } from 'yaml';
import { Server } from './server.mjs';

const server = new Server();
const started = BigInt(Date.now() - 600_000) * 1_000_000n;
const at = (i) => String(started + BigInt(i) * 1_000_000_000n);
let api;

before(async () => {
  await server.start();
  api = new GrafanaApi({ remoteApiURL: server.url });
  await api.Loki.push([
    {
      stream: { app: 'shop', env: 'prod' },
      values: Array.from({ length: 50 }, (_, i) => [at(i), `GET /cart/${i} ${i % 5 ? 200 : 500}`]),
    },
    {
      stream: { app: 'shop', env: 'test' },
      values: [[at(60), JSON.stringify({ msg: 'started', took: 12, nested: { user: 'ana' } }), { trace_id: 'abc' }]],
    },
  ]);
});
after(() => server.stop());

test('@myunisoft/loki reads lines, streams, numbers, labels and series', async () => {
  const { logs, timerange } = await api.Loki.queryRange('{app="shop", env="prod"}', { start: '1h', limit: 200 });
  assert.equal(logs.length, 50);
  assert.equal(logs[0], 'GET /cart/49 200');
  assert.ok(timerange[0] >= timerange[1]);
  const parsed = await api.Loki.queryRange('{app="shop", env="prod"}', {
    start: '1h',
    limit: 200,
    pattern: '<verb> <path> <status>',
  });
  assert.deepEqual({ ...parsed.logs[0] }, { verb: 'GET', path: '/cart/49', status: '200' });
  const { streams } = await api.Loki.queryRangeStream('{app="shop"} |= `started`', { start: '1h' });
  assert.equal(streams.length, 1);
  assert.equal(streams[0].labels.env, 'test');
  assert.equal(streams[0].labels.trace_id, 'abc');
  const { metrics } = await api.Loki.queryRangeMatrix('sum by (env) (count_over_time({app="shop"}[1h]))', {
    start: '30m',
  });
  assert.deepEqual(Object.fromEntries(metrics.map(({ labels, values }) => [labels.env, values.at(-1)[1]])), {
    prod: '50',
    test: '1',
  });
  assert.deepEqual(await api.Loki.labels({ since: '1h' }), ['app', 'env', 'service_name']);
  assert.deepEqual(await api.Loki.labelValues('env', { since: '1h' }), ['prod', 'test']);
  assert.deepEqual(await api.Loki.labelValues('env', { since: '1h', query: '{env="test"}' }), ['test']);
  assert.deepEqual(await api.Loki.series(new StreamSelector({ env: 'test' })), [
    { app: 'shop', env: 'test', service_name: 'shop' },
  ]);
});

test('@sigyn/logql: what it writes is understood', async () => {
  const texts = async (query) => (await server.lines(query.toString())).map(({ line }) => line);
  assert.equal((await texts(new LogQL(new StreamSelector({ app: 'shop', env: StreamSelector.Not('test') })))).length, 50);
  assert.equal((await texts(new LogQL(new StreamSelector({ app: /sh.p/ })))).length, 51);
  const chosen = new LogQL(new StreamSelector('{app="shop"}'))
    .lineEq('cart/1')
    .lineNotEq('cart/10')
    .lineRegEq('cart/[0-9]+ 200')
    .lineRegNotEq('9 ');
  assert.deepEqual(
    await texts(chosen),
    [1, 11, 12, 13, 14, 16, 17, 18].map((i) => `GET /cart/${i} 200`),
  );
  const fields = new LogQL(new StreamSelector({ app: 'shop' }));
  fields.lineFilters = new LineFilters().add('started');
  fields.parserExpression = new ParserExpression().toJson({ user: 'nested.user', took: 'took' });
  fields.labelFilters = new LabelFilters();
  // It puts label filters in front of the parser: they can only see the stream's labels.
  fields.labelFilters.set('env', 'test').set('app', { value: 'sh.*', operator: '=~' });
  assert.equal((await texts(fields)).length, 1, fields.toString());
  for (const expression of [
    new ParserExpression().toLogfmt(),
    new ParserExpression().toLogfmt({ a: 'b' }),
    new ParserExpression().toPattern('<verb> <path> <status>'),
    new ParserExpression().toRegexp('(?P<verb>\\w+) .*'),
    new ParserExpression().toUnpack(),
  ]) {
    const query = new LogQL(new StreamSelector({ app: 'shop' }));
    query.parserExpression = expression;
    assert.equal((await texts(query)).length, 51, query.toString());
  }
});

/** Whether the grammar finds no mistake in a query. */
function lezerAccepts(query) {
  let valid = query.trim() !== '';
  parser.parse(query).iterate({
    enter(node) {
      if (node.type.isError) valid = false;
    },
  });
  return valid;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const tables = [`${root}/../shared/conformance/logql`, `${root}/tests/conformance/logql`].find(existsSync);

// Functions that came after this version of the grammar.
const unknownToLezer = /\bapprox_topk\b/;

// The grammar knows no types, regular expressions or duties (an unwrap, a matcher that cannot be empty): a query that
// ours refuses for its meaning is not a difference; one that it refuses for its syntax is.
test('@grafana/lezer-logql and our parser agree on the queries of the tables', { skip: !tables && 'no tables' }, async () => {
  const differ = [];
  const seen = { valid: 0, invalid: 0, meaning: 0 };
  for (const file of readdirSync(tables).filter((name) => name.endsWith('.yaml'))) {
    for (const { id, query } of parse(readFileSync(`${tables}/${file}`, 'utf8')).cases) {
      const answer = await fetch(`${server.url}/loki/api/v1/format_query?query=${encodeURIComponent(query)}`);
      const text = await answer.text();
      assert.ok(answer.status === 200 || answer.status === 400, `${id}: ${answer.status} ${text}`);
      const theirs = lezerAccepts(query);
      if (answer.ok === theirs) {
        seen[theirs ? 'valid' : 'invalid'] += 1;
      } else if (theirs && !/syntax error/.test(text)) {
        seen.meaning += 1;
      } else if (theirs || !unknownToLezer.test(query)) {
        differ.push(`${id} ${answer.ok ? 'ours only' : `lezer only (${text.trim()})`}: ${query}`);
      }
    }
  }
  assert.deepEqual(differ, []);
  assert.ok(seen.valid > 200 && seen.invalid > 5 && seen.meaning < 30, JSON.stringify(seen));
});
