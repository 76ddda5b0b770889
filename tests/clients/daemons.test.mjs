// SPDX-License-Identifier: Apache-2.0
// Debian's daemons deliver: every line comes back as it was written, once.
import assert from 'node:assert/strict';
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
