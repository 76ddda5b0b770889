// SPDX-License-Identifier: Apache-2.0
// Elasticsearch's official client delivers by _bulk: lines come back, refusals are told item by item.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client } from '@elastic/elasticsearch';
import { Server } from './server.mjs';

const server = new Server();
before(async () => {
  const overrides = join(server.work, 'overrides.yaml');
  writeFileSync(overrides, 'overrides:\n  slow:\n    logs:\n      per_stream_rate_limit: 1KB\n      per_stream_rate_limit_burst: 1KB\n');
  server.settings.overrides_file = overrides;
  await server.start();
});
after(() => server.stop());

for (const path of ['', '/as/elasticsearch']) {
  test(`questions and bulk${path && ` below ${path}`}`, async () => {
    const client = new Client({ node: server.url + path, sniffOnStart: false });
    const { version, tagline } = await client.info();
    assert.match(version.number, /^8\./);
    assert.equal(tagline, 'You Know, for Search');
    assert.equal((await client.cluster.health()).status, 'green');
    assert.equal(await client.indices.exists({ index: 'app-logs' }), true);
    assert.equal(await client.indices.existsIndexTemplate({ name: 'app-logs' }), true);
    assert.equal((await client.indices.putIndexTemplate({ name: 'app-logs', index_patterns: ['app-logs*'] })).acknowledged, true);
    assert.equal((await client.license.get()).license.type, 'basic');

    const index = `app${path.length}-2026.11.30`;
    const started = Date.now();
    const documents = Array.from({ length: 500 }, (_, i) => ({
      '@timestamp': new Date(started + i).toISOString(),
      message: `order ${i} <done> "quoted" \u2603 \u{1f40b}`,
      host: { name: i % 2 ? 'h1' : 'h2' },
      order: { id: i, paid: i % 3 === 0, tags: ['a', 'b'] },
      log: { level: i % 10 ? 'info' : 'error' },
    }));
    const result = await client.bulk({ operations: documents.flatMap((doc) => [{ create: { _index: index } }, doc]) });
    assert.equal(result.errors, false);
    assert.equal(result.items.length, documents.length);
    assert.ok(result.items.every(({ create }) => create.status === 201 && create._index === index && create._id));
    const lines = await server.lines(`{index="app${path.length}"}`);
    assert.deepEqual(
      lines.map(({ line }) => line),
      documents.map(({ message }) => message),
    );
    for (const [i, { time, labels, metadata }] of lines.entries()) {
      assert.equal(time, BigInt(started + i) * 1_000_000n);
      assert.equal(labels.host_name, documents[i].host.name);
      assert.deepEqual(metadata, {
        detected_level: i % 10 ? 'info' : 'error',
        level: i % 10 ? 'info' : 'error',
        log_level: i % 10 ? 'info' : 'error',
        order_id: String(i),
        order_paid: String(i % 3 === 0),
        order_tags: '["a","b"]',
      });
    }
    await client.close();
  });
}

test('the bulk helper, gzip, chosen fields', async () => {
  const client = new Client({ node: server.url, compression: true, headers: { 'VL-Stream-Fields': 'app', 'VL-Msg-Field': 'text' } });
  const datasource = Array.from({ length: 1000 }, (_, i) => ({ app: 'helper', text: `line ${i}`, zone: 'z' }));
  const stats = await client.helpers.bulk({
    datasource,
    flushBytes: 10_000,
    onDocument: () => ({ index: { _index: 'ignored' } }),
  });
  assert.equal(stats.failed, 0);
  assert.equal(stats.successful, 1000);
  const lines = await server.lines('{app="helper"}');
  assert.deepEqual(lines.map(({ line }) => line).sort(), datasource.map(({ text }) => text).sort());
  assert.ok(lines.every(({ labels, metadata }) => !('index' in labels) && metadata.zone === 'z'));
  await client.close();
});

test('what is refused is told item by item', async () => {
  const client = new Client({ node: server.url, maxRetries: 0, headers: { 'X-Scope-OrgID': 'slow' } });
  const result = await client.bulk({
    operations: [
      { create: { _index: 'small' } },
      { message: 'fits' },
      { create: { _index: 'large' } },
      { message: 'x'.repeat(5000) },
      { create: { _index: 'small' } },
      { message: 'bad time', '@timestamp': 'yesterday' },
      { create: { _index: 'small' } },
      { message: 'of the future', '@timestamp': new Date(Date.now() + 3_600_000).toISOString() },
      { delete: { _index: 'small', _id: '1' } },
    ],
  });
  assert.equal(result.errors, true);
  assert.deepEqual(
    result.items.map((item) => Object.values(item)[0]).map(({ status, error }) => [status, error?.type]),
    [
      [201, undefined],
      [429, 'es_rejected_execution_exception'],
      [400, 'document_parsing_exception'],
      [400, 'illegal_argument_exception'],
      [400, 'illegal_argument_exception'],
    ],
  );
  assert.match(result.items[1].create.error.reason, /Per stream rate limit exceeded/);
  assert.match(result.items[3].create.error.reason, /timestamp too new/);
  assert.deepEqual(
    (await server.lines('{index=~".+"}', 'slow')).map(({ line }) => line),
    ['fits'],
  );
  await assert.rejects(client.bulk({ body: '{"message":"no action"}\n' }), (error) => {
    assert.equal(error.statusCode, 400);
    assert.match(error.message, /Malformed action\/metadata line \[1\]/);
    return true;
  });
  await client.close();
});
