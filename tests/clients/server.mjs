// SPDX-License-Identifier: Apache-2.0
// The program under test, on a free port with a data directory of its own, and what reads back from it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Calls `what` until it returns something true; an error tells what was waited for and what came last. */
export async function until(name, what, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (let last; ; await pause(50)) {
    try {
      const got = await what();
      if (got) return got;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${name}: not within ${seconds} s${last ? ` (${last.message})` : ''}`);
  }
}

export class Server {
  constructor(settings = {}) {
    this.work = mkdtempSync(join(tmpdir(), 'tocayo-clients-'));
    this.settings = settings;
    this.address = '127.0.0.1:0';
    this.log = '';
  }

  get url() {
    return `http://${this.address}`;
  }

  get port() {
    return this.address.split(':').pop();
  }

  async start() {
    const binary = process.env.TOCAYO_BINARY;
    if (!binary) throw new Error('TOCAYO_BINARY names the program');
    const portFile = join(this.work, 'port');
    writeFileSync(portFile, '');
    const settings = {
      'server.listen': this.address,
      'storage.data_dir': join(this.work, 'data'),
      'agent.enabled': false,
      ...this.settings,
    };
    const set = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    // Variables of this name would be its configuration.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('TOCAYO_')));
    this.child = spawn(binary, ['serve', ...set, '--port-file', portFile], { env });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (text) => (this.log += text));
    this.address = await until('the program listens', () => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.log.slice(-800)}`);
      return readFileSync(portFile, 'utf8').trim();
    });
    await until('the program is ready', async () => (await fetch(`${this.url}/-/ready`)).ok);
    return this;
  }

  /** kill -9: nothing is written, nothing is closed. */
  async kill() {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  async stop() {
    if (this.child && this.child.exitCode === null && this.child.signalCode === null) await this.kill();
    rmSync(this.work, { recursive: true, force: true });
  }

  async json(path, headers = {}) {
    const answer = await fetch(this.url + path, { headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Lines of the last day that a query finds, oldest first: {time, line, labels, metadata, parsed}. */
  async lines(query, tenant) {
    const range = `start=${Math.floor(Date.now() / 1000) - 86_400}&end=${Math.floor(Date.now() / 1000) + 600}`;
    const headers = { 'X-Loki-Response-Encoding-Flags': 'categorize-labels' };
    if (tenant) headers['X-Scope-OrgID'] = tenant;
    const { data } = await this.json(
      `/loki/api/v1/query_range?limit=5000&direction=forward&${range}&query=${encodeURIComponent(query)}`,
      headers,
    );
    return data.result
      .flatMap(({ stream, values }) =>
        values.map(([time, line, { structuredMetadata: metadata = {}, parsed = {} } = {}]) => ({
          time: BigInt(time),
          line,
          labels: stream,
          metadata,
          parsed,
        })),
      )
      .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  }

  /** The texts of these lines once there are as many as wanted. */
  async texts(query, count, seconds = 30) {
    let found = [];
    await until(
      `${count} lines of ${query}`,
      async () => {
        found = (await this.lines(query)).map(({ line }) => line);
        if (found.length < count) throw new Error(`there are ${found.length}`);
        return true;
      },
      seconds,
    );
    return found;
  }
}
