// SPDX-License-Identifier: Apache-2.0
// Debian's daemons deliver: every line comes back as it was written, once.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { Daemons } from './daemons.mjs';
import { Server } from './server.mjs';

const server = new Server();
before(() => server.start());
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

test('syslog-ng, http destination to the push API', () =>
  withDaemons(async (daemons) => {
    const source = daemons.file('in.log', `${messages.join('\n')}\n`);
    daemons.syslogNg(`
      source lines { file("${source}" flags(no-parse) follow-freq(0.2)); };
      destination push { http(
        url("${server.url}/loki/api/v1/push") method("POST") headers("Content-Type: application/json")
        batch-lines(30) batch-timeout(300)
        body-prefix('{"streams":[') delimiter(',') body-suffix(']}')
        body('{"stream":{"app":"syslog-ng"},"values":[["\${UNIXTIME}\${USEC}000",$(substr "$(format-json --scope none m=\$MSG)" 5 -1)]]}')
      ); };
      log { source(lines); destination(push); };`);
    assert.deepEqual((await server.texts('{app="syslog-ng"}', COUNT)).sort(), [...messages].sort());
  }));

test('rsyslog, omelasticsearch to _bulk', () =>
  withDaemons(async (daemons) => {
    const source = daemons.file('in.log', `${messages.join('\n')}\n`);
    daemons.rsyslog(`
      module(load="imfile")
      module(load="omelasticsearch")
      template(name="document" type="list" option.jsonf="on") {
        property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
        property(outname="message" name="msg" format="jsonf")
        property(outname="host" name="hostname" format="jsonf")
        property(outname="severity" name="syslogseverity-text" format="jsonf")
        property(outname="tag" name="syslogtag" format="jsonf")
      }
      input(type="imfile" File="${source}" Tag="shop:" Severity="warning" reopenOnTruncate="on")
      action(type="omelasticsearch" server="127.0.0.1" serverport="${server.port}" searchIndex="rsyslog-2026.11.30"
        bulkmode="on" bulkid="" template="document" errorFile="${daemons.dir}/errors"
        queue.type="LinkedList" queue.dequeuebatchsize="50" action.resumeretrycount="-1")`);
    assert.deepEqual((await server.texts('{index="rsyslog"}', COUNT)).sort(), [...messages].sort());
    const [{ labels, metadata }] = await server.lines('{index="rsyslog"}');
    assert.ok(labels.host);
    assert.equal(metadata.tag, 'shop:');
    assert.equal(metadata.detected_level, 'warn');
  }));

test('systemd-journal-upload, also begun again without its state', () =>
  withDaemons(async (daemons) => {
    const journal = daemons.directory('journal');
    const boot = '0123456789abcdef0123456789abcdef';
    const entry = (i) => {
      const fields = [
        `__REALTIME_TIMESTAMP=${(Date.now() - 600_000 + i) * 1000}`,
        `__MONOTONIC_TIMESTAMP=${1_000_000 + i}`,
        `_BOOT_ID=${boot}`,
        '_HOSTNAME=box',
        '_SYSTEMD_UNIT=shop.service',
        '_PID=77',
        `PRIORITY=${i % 10 ? 6 : 3}`,
      ];
      return `${fields.join('\n')}\nMESSAGE=${messages[i]}\n\n`;
    };
    const make = '/lib/systemd/systemd-journal-remote';
    const write = (from, to) =>
      execFileSync(make, ['-o', `${journal}/part-${from}.journal`, '-'], {
        input: Array.from({ length: to - from }, (_, i) => entry(from + i)).join(''),
      });
    const upload = (...args) =>
      daemons.run('/lib/systemd/systemd-journal-upload', [`--url=${server.url}`, `--directory=${journal}`, ...args]);
    const query = '{job="systemd-journal", unit="shop.service"}';
    write(0, COUNT / 2);
    const state = `--save-state=${daemons.dir}/state`;
    assert.equal(await upload(state, '--follow=no').ended, 0);
    assert.deepEqual(await server.texts(query, COUNT / 2), messages.slice(0, COUNT / 2));
    write(COUNT / 2, COUNT);
    // It goes on behind its cursor …
    assert.equal(await upload(state, '--follow=no').ended, 0);
    const lines = await server.lines(query);
    assert.deepEqual(
      lines.map(({ line }) => line),
      messages,
    );
    for (const [i, { labels, metadata }] of lines.entries()) {
      assert.equal(labels.host, 'box');
      assert.equal(labels.level, i % 10 ? 'info' : 'error');
      assert.equal(metadata.pid, '77');
      assert.match(metadata.cursor, /^s=/);
    }
    // … and without one it sends all again, also when the lines are in segments by now: nothing is doubled.
    assert.equal(await upload('--follow=no').ended, 0);
    await server.kill();
    await server.start();
    await fetch(`${server.url}/flush`, { method: 'POST', headers: { 'X-Tocayo-Csrf': '1' } });
    assert.equal(await upload('--follow=no').ended, 0);
    assert.equal((await server.lines(query)).length, COUNT);
  }));
