// SPDX-License-Identifier: Apache-2.0
// Syslog senders deliver: logger alone, logger through rsyslog, syslog-ng; RFC 5424 and 3164, over UDP and TCP.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Daemons } from './daemons.mjs';
import { Server, until } from './server.mjs';

const freeTcp = () =>
  new Promise((resolve) => {
    const socket = createServer().listen(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
const freeUdp = () =>
  new Promise((resolve) => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });

const server = new Server();
let tcp;
let udp;
let tls;
const pem = (name) => join(server.work, `${name}.pem`);
const makeCertificate = (name) =>
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', pem(`${name}-key`), '-out', pem(name)],
  ], { stdio: 'pipe' });
before(async () => {
  tcp = await freeTcp();
  udp = await freeUdp();
  tls = await freeTcp();
  makeCertificate('serving');
  makeCertificate('sender');
  server.settings['logs.syslog'] =
    `[{listen: 'tcp://127.0.0.1:${tcp}', labels: {via: tcp}}, {listen: 'udp://127.0.0.1:${udp}', tenant: nets, labels: {via: udp}},
      {listen: 'tcp://127.0.0.1:${tls}', labels: {via: tls},
       tls: {cert_file: '${pem('serving')}', key_file: '${pem('serving-key')}', client_ca_file: '${pem('sender')}'}}]`;
  await server.start();
});
after(() => server.stop());

const COUNT = 200;
const messages = Array.from({ length: COUNT }, (_, i) => `order ${i} "paid" \\ by 'ana' <${i}> \u2603 {n: ${i}}`);

async function withDaemons(run) {
  const daemons = new Daemons();
  try {
    await run(daemons);
  } catch (error) {
    error.message += daemons.children.map(({ spawnfile, text }) => `\n${spawnfile}: ${text.slice(-2000)}`).join('');
    throw error;
  } finally {
    await daemons.stop();
  }
}

for (const [name, args] of [
  ['rfc5424, octet counting', ['--rfc5424', '--octet-count', '--msgid', 'ID1', '--sd-id', 'shop@1', '--sd-param', 'zone="a"']],
  ['rfc5424, lines', ['--rfc5424']],
  ['rfc3164, lines', ['--rfc3164']],
]) {
  test(`logger over TCP, ${name}`, async () => {
    const app = `logger-${name.replace(/\W+/g, '-')}`;
    execFileSync('logger', ['--server', '127.0.0.1', '--port', tcp, '--tcp', '--tag', app, '--priority', 'local3.err', '--id=77', ...args], {
      input: `${messages.join('\n')}\n${messages[0]}\n`,
    });
    // The first comes twice, within a second: it is two lines.
    assert.deepEqual((await server.texts(`{app="${app}"}`, COUNT + 1)).sort(), [...messages, messages[0]].sort());
    const [{ labels, metadata, time }] = await server.lines(`{app="${app}"}`);
    const { host, ...rest } = labels;
    assert.ok(host);
    assert.deepEqual(rest, { job: 'syslog', via: 'tcp', app, facility: 'local3', severity: 'error', service_name: app });
    assert.equal(metadata.detected_level, 'error');
    assert.equal(metadata.procid, '77');
    if (args.includes('--msgid')) {
      assert.equal(metadata.msgid, 'ID1');
      assert.equal(metadata.shop_1_zone, 'a');
    }
    assert.ok(Math.abs(Date.now() - Number(time / 1_000_000n)) < 60_000);
  });
}

test('logger over UDP, into the tenant of the listener', async () => {
  execFileSync('logger', ['--server', '127.0.0.1', '--port', udp, '--udp', '--tag', 'dgram', '--rfc5424'], {
    input: `${messages.join('\n')}\n`,
  });
  await until('all datagrams', async () => (await server.lines('{app="dgram"}', 'nets')).length >= COUNT);
  assert.deepEqual((await server.lines('{app="dgram"}', 'nets')).map(({ line }) => line).sort(), [...messages].sort());
  assert.deepEqual(await server.lines('{app="dgram"}'), []);
  assert.match(await (await fetch(`${server.url}/metrics`)).text(), /tocayo_syslog_messages_total\{listener="udp:[^}]*\} 200\b/);
});

test('rsyslog forwards what logger writes to it', () =>
  withDaemons(async (daemons) => {
    const local = await freeUdp();
    daemons.rsyslog(`
      module(load="imudp")
      input(type="imudp" address="127.0.0.1" port="${local}")
      *.* action(type="omfwd" target="127.0.0.1" port="${tcp}" protocol="tcp" TCP_Framing="octet-counted"
        template="RSYSLOG_SyslogProtocol23Format" action.resumeRetryCount="-1")`);
    const probe = () =>
      execFileSync('logger', ['--server', '127.0.0.1', '--port', local, '--udp', '--tag', 'probe', '--rfc3164', 'up']);
    await until('rsyslog forwards', async () => {
      probe();
      return (await server.lines('{app="probe"}')).length > 0;
    });
    execFileSync('logger', ['--server', '127.0.0.1', '--port', local, '--udp', '--tag', 'relayed', '--rfc3164'], {
      input: `${messages.join('\n')}\n`,
    });
    // To rsyslog the space behind the tag is part of the message.
    assert.deepEqual((await server.texts('{app="relayed"}', COUNT)).sort(), messages.map((text) => ` ${text}`).sort());
  }));

test('syslog-ng sends by its syslog() and network() drivers', () =>
  withDaemons(async (daemons) => {
    const source = daemons.file('in.log', `${messages.join('\n')}\n`);
    daemons.syslogNg(`
      source lines { file("${source}" flags(no-parse) follow-freq(0.2) program-override("new")); };
      source again { file("${source}.2" flags(no-parse) follow-freq(0.2) program-override("old")); };
      destination new { syslog("127.0.0.1" port(${tcp}) transport("tcp") persist-name("new")); };
      destination old { network("127.0.0.1" port(${tcp}) transport("tcp") persist-name("old")); };
      log { source(lines); destination(new); };
      log { source(again); destination(old); };`);
    daemons.file('in.log.2', `${messages.join('\n')}\n`);
    for (const app of ['new', 'old'])
      assert.deepEqual((await server.texts(`{app="${app}"}`, COUNT)).sort(), [...messages].sort());
  }));

test('syslog-ng over TLS, with certificates on both sides', () =>
  withDaemons(async (daemons) => {
    const source = daemons.file('in.log', `${messages.join('\n')}\n`);
    const files = `ca-file("${pem('serving')}") cert-file("${pem('sender')}") key-file("${pem('sender-key')}")`;
    daemons.syslogNg(`
      source lines { file("${source}" flags(no-parse) follow-freq(0.2) program-override("sealed")); };
      destination sealed { syslog("127.0.0.1" port(${tls}) transport("tls") tls(${files} peer-verify(required-trusted))); };
      log { source(lines); destination(sealed); };`);
    assert.deepEqual((await server.texts('{app="sealed", via="tls"}', COUNT)).sort(), [...messages].sort());
  }));
