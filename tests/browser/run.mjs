// SPDX-License-Identifier: Apache-2.0
// Browser checks against the real program:
//   node tests/browser/run.mjs --binary PATH [--web-dir DIR] [--only TEXT] [--jobs N] [--screens DIR] [--update-images]
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { faultChecks } from './faults.mjs';
import { journeys } from './journeys.mjs';
import { keyboardChecks } from './keyboard.mjs';
import { launch } from './lib.mjs';
import { logChecks } from './logs.mjs';
import { lookChecks } from './looks.mjs';
import { manyChecks } from './many.mjs';
import { pageChecks } from './pages.mjs';
import { screens } from './screens.mjs';
import { dataOf, Server, stopAll } from './server.mjs';
import { signIn } from './signin.mjs';
import { stateChecks } from './states.mjs';
import { tenantChecks } from './tenants.mjs';

const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const only = option('--only');
const dir = option('--screens');
// One more than there are cores: many checks wait most of their time.
const jobs = Number(option('--jobs') ?? availableParallelism() + 1);
const binary = option('--binary');
Server.webDir = option('--web-dir');
if (!binary) {
  console.error('usage: run.mjs --binary PATH [--web-dir DIR] [--only TEXT] [--jobs N] [--screens DIR] [--update-images]');
  process.exit(2);
}

const sharedContexts = new Map();

/** What a check may use of the browser; its own contexts are closed with it, whatever happens. */
function lease(browser) {
  const contexts = [];
  return {
    newContext: async (options) => {
      const context = await browser.newContext(options);
      contexts.push(context);
      return context;
    },
    sharedContext: (options) => {
      const key = JSON.stringify(options);
      if (!sharedContexts.has(key)) sharedContexts.set(key, browser.newContext(options));
      return sharedContexts.get(key);
    },
    version: () => browser.version(),
    end: () => Promise.all(contexts.map((context) => context.close().catch(() => undefined))),
  };
}

let passed = 0;
const failures = [];
/** Milliseconds of each part of the suite, its checks added up. */
const spent = new Map();
async function check(browser, env, { name, run, data, part }) {
  const started = Date.now();
  const own = lease(browser);
  try {
    if (data) await env.data;
    await run(own, env);
    passed += 1;
    console.log(`ok   ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failures.push(name);
    console.log(`FAIL ${name}: ${error.message.split('\n')[0]} (${Date.now() - started} ms)`);
  } finally {
    await own.end();
    const [ms, count] = spent.get(part) ?? [0, 0];
    spent.set(part, [ms + Date.now() - started, count + 1]);
  }
}

async function main() {
  const open = await new Server('open', binary).start();
  const login = await new Server('login', binary, ['--set', 'auth.mode=required']).start();
  await login.setUp();
  const browser = await launch();
  const data = dataOf(open);
  data.catch(() => undefined); // said by the checks that wait for it
  const home = async () => (await (await fetch(`${open.url}/api/ui/home`)).json()).hosts?.[0]?.instance;
  const env = { base: open.url, authBase: login.url, binary, data, update: args.includes('--update-images') };
  const instance = await home().then((found) => found ?? data.then(home));

  if (dir) {
    mkdirSync(dir, { recursive: true });
    await check(browser, env, { name: `screenshots in ${dir}`, data: true, run: (b) => screens(b, env, instance, dir) });
  } else {
    const parts = {
      'sign-in': signIn,
      faults: faultChecks,
      keyboard: keyboardChecks(instance),
      states: stateChecks(instance),
      logs: logChecks,
      many: manyChecks,
      tenants: tenantChecks,
      pages: pageChecks(instance),
      journeys: journeys.map(([name, run]) => ({ name, data: true, run: (b) => run(b, open.url) })),
      looks: lookChecks(instance),
    };
    const all = Object.entries(parts)
      .flatMap(([part, checks]) => checks.map((c) => ({ ...c, part })))
      .filter((c) => !only || c.name.includes(only));
    // What needs a while of data comes last.
    const queue = [...all.filter((c) => !c.data), ...all.filter((c) => c.data)];
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) await check(browser, env, next);
    };
    await Promise.all(Array.from({ length: jobs }, worker));
  }
  await browser.close();
}

// Stopped from outside: no server and no directory stays behind.
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => void stopAll().finally(() => process.exit(130)));

const started = Date.now();
try {
  await main();
} catch (error) {
  failures.push(String(error));
} finally {
  await stopAll();
}
const seconds = (ms) => (ms / 1000).toFixed(1).padStart(7);
for (const [part, [ms, count]] of spent)
  console.log(`${(part ?? '').padEnd(9)} ${String(count).padStart(4)} checks ${seconds(ms)} s, ${seconds(ms / count)} s each`);
for (const name of failures) console.log(`failed: ${name}`);
console.log(`${passed} passed, ${failures.length} failed, ${Math.round((Date.now() - started) / 1000)} s`);
process.exit(failures.length > 0 || passed === 0 ? 1 : 0);
