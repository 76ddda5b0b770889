// SPDX-License-Identifier: Apache-2.0
// Debian's log daemons, run from where they were unpacked (TOCAYO_CLIENTS_ROOT), in the foreground and without privileges.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = process.env.TOCAYO_CLIENTS_ROOT ?? '';
const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib/syslog-ng']
  .map((path) => join(root, path))
  .join(':');
const env = { ...process.env, LD_LIBRARY_PATH: libraries };

/** A directory and child processes that go away together. */
export class Daemons {
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'tocayo-daemons-'));
    this.children = [];
  }

  file(name, text) {
    const path = join(this.dir, name);
    writeFileSync(path, text);
    return path;
  }

  directory(name) {
    const path = join(this.dir, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  run(program, args) {
    if (!existsSync(program)) throw new Error(`${program} is not there`);
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    child.text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (child.text += text));
    child.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
    this.children.push(child);
    return child;
  }

  syslogNg(config) {
    const modules = join(root, 'usr/lib/syslog-ng/3.38');
    const file = this.file('syslog-ng.conf', `@version: 3.38\n@define allow-config-dups 1\n${config}`);
    return this.run(join(root, 'usr/sbin/syslog-ng'), [
      ...['--foreground', '--no-caps', '--stderr', '--cfgfile', file, '--module-path', modules],
      ...['--persist-file', join(this.dir, 'persist'), '--pidfile', join(this.dir, 'pid')],
      ...['--control', join(this.dir, 'control')],
    ]);
  }

  rsyslog(config) {
    const modules = join(root, 'usr/lib/x86_64-linux-gnu/rsyslog');
    const text = `global(workDirectory="${this.dir}" net.enableDNS="off")\n${config}`;
    return this.run(join(root, 'usr/sbin/rsyslogd'), [
      ...['-n', '-C', '-x', '-M', modules, '-i', join(this.dir, 'pid'), '-f', this.file('rsyslog.conf', text)],
    ]);
  }

  async stop() {
    for (const child of this.children) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await child.ended;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}
