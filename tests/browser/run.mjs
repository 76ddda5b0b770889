// SPDX-License-Identifier: Apache-2.0
// Browser checks against a running server:
//   node tests/browser/run.mjs --url http://127.0.0.1:4600 [--auth-url URL] [--screens DIR] [--only TEXT]
// With --auth-url, TOCAYO_TEST_LOGIN and TOCAYO_TEST_PASSWORD name somebody who may sign in there.
import { mkdirSync } from 'node:fs';
import { journeys, signIn } from './journeys.mjs';
import { launch } from './lib.mjs';
import { pageChecks, screens } from './pages.mjs';

const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const trim = (url) => url?.replace(/\/$/, '');
const base = trim(option('--url'));
const authBase = trim(option('--auth-url'));
const only = option('--only');
const dir = option('--screens');
if (!base) {
  console.error('usage: run.mjs --url URL [--auth-url URL] [--screens DIR] [--only TEXT]');
  process.exit(2);
}

const browser = await launch();
const home = await (await fetch(`${base}/api/ui/home`)).json();
const instance = home.hosts?.[0]?.instance ?? 'localhost';
let passed = 0;
let failed = 0;

async function check(name, run) {
  if (only && !name.includes(only)) return;
  const started = Date.now();
  try {
    await run();
    passed += 1;
    console.log(`ok   ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error.message.split('\n')[0]}`);
    for (const context of browser.contexts()) await context.close();
  }
}

if (dir) {
  mkdirSync(dir, { recursive: true });
  await check(`screenshots in ${dir}`, () => screens(browser, base, instance, dir));
} else {
  for (const [name, run] of journeys) await check(name, () => run(browser, base));
  const login = process.env.TOCAYO_TEST_LOGIN;
  const password = process.env.TOCAYO_TEST_PASSWORD;
  if (authBase && login && password) await check(signIn[0], () => signIn[1](browser, authBase, { login, password }));
  for (const [name, run] of pageChecks(instance)) await check(name, () => run(browser, base));
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
