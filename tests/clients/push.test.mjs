// SPDX-License-Identifier: Apache-2.0
// Logging libraries and curl deliver over HTTP: every line comes back as it was written, once, with its labels.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter as OtlpJson } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as OtlpProto } from '@opentelemetry/exporter-logs-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import pino from 'pino';
import winston from 'winston';
import LokiTransport from 'winston-loki';
import { Server } from './server.mjs';

const server = new Server();
before(() => server.start());
after(() => server.stop());

const COUNT = 300;
const message = (i) => `request ${i} <done> "quoted" \\ & snowman \u2603 \u{1f40b} took=${i * 3}ms`;
const messages = Array.from({ length: COUNT }, (_, i) => message(i));

for (const json of [true, false]) {
  const name = json ? 'json' : 'protobuf';
  test(`winston-loki, ${name}`, async () => {
    if (!json) createRequire(import.meta.url)('snappy'); // without it the transport would quietly send JSON
    const failures = [];
    const transport = new LokiTransport({
      host: server.url,
      json,
      batching: true,
      interval: 1,
      labels: { app: `winston-${name}` },
      format: winston.format.printf(({ message: text }) => text),
      onConnectionError: (error) => failures.push(error),
      gracefulShutdown: false,
    });
    const logger = winston.createLogger({ transports: [transport] });
    for (const [i, text] of messages.entries()) logger.log(i % 10 === 0 ? 'error' : 'info', text);
    await new Promise((resolve) => setImmediate(resolve));
    await transport.flush();
    assert.deepEqual(failures, []);
    const lines = await server.lines(`{app="winston-${name}"}`);
    assert.deepEqual(lines.map(({ line }) => line).sort(), [...messages].sort());
    const errors = lines.filter(({ labels }) => labels.level === 'error');
    assert.equal(errors.length, COUNT / 10);
    assert.ok(errors.every(({ metadata }) => metadata.detected_level === 'error'));
    assert.ok(lines.every(({ labels }) => labels.service_name === `winston-${name}`));
    logger.close();
  });
}

test('pino-loki', async () => {
  const transport = pino.transport({
    target: 'pino-loki',
    options: {
      host: server.url,
      labels: { app: 'pino' },
      propsToLabels: ['zone'],
      batching: { interval: 1, maxBufferSize: 10_000 },
      headers: { 'X-Scope-OrgID': 'team-pino' },
    },
  });
  const logger = pino(transport);
  for (const [i, text] of messages.entries()) logger.warn({ zone: i % 2 ? 'a' : 'b', n: i }, text);
  const ended = new Promise((resolve) => transport.once('close', resolve));
  transport.end();
  await ended;
  const lines = await server.lines('{app="pino"} | json', 'team-pino');
  assert.deepEqual(lines.map(({ parsed }) => parsed.msg).sort(), [...messages].sort());
  assert.ok(lines.every(({ labels, parsed }) => labels.zone === (Number(parsed.n) % 2 ? 'a' : 'b')));
  assert.ok(lines.every(({ labels, metadata }) => labels.level === 'warning' && metadata.detected_level === 'warn'));
  assert.deepEqual(await server.lines('{app="pino"}'), [], 'another tenant sees nothing');
});

for (const [name, Exporter] of [
  ['http-json', OtlpJson],
  ['http-proto', OtlpProto],
]) {
  test(`OpenTelemetry SDK, ${name}`, async () => {
    const provider = new LoggerProvider({
      resource: resourceFromAttributes({
        'service.name': `otel-${name}`,
        'k8s.namespace.name': 'shop',
        'process.pid': 4242,
        tags: ['x', 'y'],
      }),
      processors: [
        new BatchLogRecordProcessor({
          exporter: new Exporter({ url: `${server.url}/otlp/v1/logs`, compression: 'gzip' }),
          maxExportBatchSize: 100,
        }),
      ],
    });
    const logger = provider.getLogger('orders', '1.2.3');
    const started = Date.now();
    for (const [i, text] of messages.entries()) {
      logger.emit({
        timestamp: started + i,
        severityNumber: SeverityNumber.ERROR,
        severityText: 'ERROR',
        body: text,
        attributes: { 'order.id': i, paid: i % 2 === 0, 'http.route': '/orders/{id}' },
      });
    }
    logger.emit({ timestamp: started + COUNT, body: { kind: 'map', n: 1 } });
    await provider.forceFlush();
    await provider.shutdown();
    const lines = await server.lines(`{service_name="otel-${name}"}`);
    assert.deepEqual(
      lines.map(({ line }) => line),
      [...messages, '{"kind":"map","n":1}'],
    );
    for (const [i, { time, labels, metadata }] of lines.slice(0, COUNT).entries()) {
      assert.equal(time, BigInt(started + i) * 1_000_000n);
      assert.deepEqual(labels, { service_name: `otel-${name}`, k8s_namespace_name: 'shop' });
      const { observed_timestamp, ...rest } = metadata;
      assert.match(observed_timestamp, /^\d{19}$/);
      assert.deepEqual(rest, {
        detected_level: 'error',
        severity_number: '17',
        severity_text: 'ERROR',
        order_id: String(i),
        paid: String(i % 2 === 0),
        http_route: '/orders/{id}',
        process_pid: '4242',
        tags: '["x","y"]',
        scope_name: 'orders',
        scope_version: '1.2.3',
      });
    }
  });
}

test('curl', async () => {
  const now = BigInt(Date.now()) * 1_000_000n;
  const body = JSON.stringify({
    streams: [{ stream: { app: 'curl' }, values: messages.map((text, i) => [String(now + BigInt(i)), text]) }],
  });
  const url = `${server.url}/loki/api/v1/push`;
  const args = ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Content-Type: application/json', '--data-binary', '@-', url];
  assert.equal(execFileSync('curl', args, { input: body, encoding: 'utf8' }), '204');
  // The same again, compressed: nothing is doubled.
  const packed = execFileSync('gzip', ['-c'], { input: body });
  assert.equal(execFileSync('curl', ['-H', 'Content-Encoding: gzip', ...args], { input: packed, encoding: 'utf8' }), '204');
  const read = execFileSync(
    'curl',
    ['-sS', '-G', '--data-urlencode', 'query={app="curl"}', '-d', 'limit=5000', '-d', 'direction=forward', `${server.url}/loki/api/v1/query_range`],
    { encoding: 'utf8' },
  );
  const values = JSON.parse(read).data.result.flatMap((stream) => stream.values);
  assert.deepEqual(
    values.sort((a, b) => Number(BigInt(a[0]) - BigInt(b[0]))).map(([, line]) => line),
    messages,
  );
});
