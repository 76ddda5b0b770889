// SPDX-License-Identifier: Apache-2.0
// Real servers for the checks: started on free ports with data directories of their own, killed and started again.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './lib.mjs';

const work = mkdtempSync(join(tmpdir(), 'tocayo-browser-'));
const running = new Set();
export const LOGIN = { login: 'ana', password: 'correct horse battery' };

export class Server {
  /** Serves the page from this directory instead of from the binary. */
  static webDir;

  constructor(name, binary, args = []) {
    this.name = name;
    this.binary = binary;
    this.args = args;
    this.portFile = join(work, `${name}.port`);
    this.log = '';
    this.address = '127.0.0.1:0';
  }

  get url() {
    return `http://${this.address}`;
  }

  async start() {
    writeFileSync(this.portFile, '');
    const settings = { 'server.listen': this.address, 'storage.data_dir': join(work, this.name) };
    if (Server.webDir) settings['server.web_dir'] = Server.webDir;
    const set = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    // TOCAYO_ variables are the program's own configuration; those that steer the checks are none.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('TOCAYO_')));
    const child = spawn(this.binary, ['serve', ...set, '--port-file', this.portFile, ...this.args], { env });
    this.child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.log += text));
    const listening = await until(`${this.name} listens`, () => {
      if (child.exitCode !== null) return 'ended';
      return readFileSync(this.portFile, 'utf8').trim();
    });
    if (listening === 'ended') throw new Error(`${this.name} ended: ${this.log.slice(-800)}`);
    this.address = listening;
    return this;
  }

  /** kill -9: nothing is written, nothing is closed. */
  async kill() {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  async post(path, body) {
    const answer = await fetch(this.url + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Tocayo-Csrf': '1' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  }

  /** The first admin, by the one-time link that the server prints. */
  async setUp() {
    const token = await until('the set-up link is printed', () => /\/setup\?token=([\w-]+)/.exec(this.log)?.[1]);
    await this.post('/api/ui/setup', { token, name: 'Ana', ...LOGIN });
  }
}

/** Resolves when this many samples of the server's own machine can be charted. */
export function dataOf(server, samples = 20) {
  const query = encodeURIComponent(`count_over_time(node_load1[2m]) >= ${samples}`);
  return until(`${samples} samples of this machine`, async () =>
    (await (await fetch(`${server.url}/api/v1/query?query=${query}`)).text()).includes('"value"'),
  );
}

export async function stopAll() {
  await Promise.all(
    [...running].map((child) => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      return gone;
    }),
  );
  rmSync(work, { recursive: true, force: true });
}
