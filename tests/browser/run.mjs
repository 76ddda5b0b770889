// SPDX-License-Identifier: Apache-2.0
// Browser checks against the real program:
//   node tests/browser/run.mjs --binary PATH [--web-dir DIR] [--only TEXT] [--jobs N] [--screens DIR] [--update-images]
import { mkdirSync } from 'node:fs';
import { faultChecks } from './faults.mjs';
import { journeys } from './journeys.mjs';
import { keyboardChecks } from './keyboard.mjs';
import { launch } from './lib.mjs';
import { logChecks } from './logs.mjs';
import { lookChecks } from './looks.mjs';
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
const jobs = Number(option('--jobs') ?? 2);
const binary = option('--binary');
Server.webDir = option('--web-dir');
if (!binary) {
  console.error('usage: run.mjs --binary PATH [--web-dir DIR] [--only TEXT] [--jobs N] [--screens DIR] [--update-images]');
  process.exit(2);
}

/** What a check may use of the browser; its contexts are closed with it, whatever happens. */
function lease(browser) {
  const contexts = [];
  return {
    newContext: async (options) => {
      const context = await browser.newContext(options);
      contexts.push(context);
      return context;
    },
    version: () => browser.version(),
    end: () => Promise.all(contexts.map((context) => context.close().catch(() => undefined))),
  };
}

let passed = 0;
const failures = [];
async function check(browser, env, { name, run, data }) {
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
    const all = [
      ...signIn,
      ...faultChecks,
      ...keyboardChecks(instance),
      ...stateChecks(instance),
      ...logChecks,
      ...tenantChecks,
      ...pageChecks(instance),
      ...journeys.map(([name, run]) => ({ name, data: true, run: (b) => run(b, open.url) })),
      ...lookChecks(instance),
    ].filter((c) => !only || c.name.includes(only));
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
for (const name of failures) console.log(`failed: ${name}`);
console.log(`${passed} passed, ${failures.length} failed, ${Math.round((Date.now() - started) / 1000)} s`);
process.exit(failures.length > 0 || passed === 0 ? 1 : 0);
