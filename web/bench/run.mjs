// SPDX-License-Identifier: Apache-2.0
// Prints each figure of the page next to its budget: ./dev bench web, or in web/
//   TOCAYO_BINARY=PATH node bench/run.mjs [--only charts,load,names,logs] [--rounds N] [--seconds N] [--web-dir DIR]
// TOCAYO_CHROMIUM names another browser. Medians of five rounds.
import { cpus, loadavg } from 'node:os';
import { launch } from '../../tests/browser/lib.mjs';
import { Server, stopAll } from '../../tests/browser/server.mjs';
import { charts } from './charts.mjs';
import { pageParts } from './pages.mjs';

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};
const parts = { charts: (row) => charts(row, Number(option('seconds', 20))), ...pageParts };
const only = option('only', Object.keys(parts).join()).split(',');
const unknown = only.filter((name) => !parts[name]);
const count = Number(option('rounds', 5));
Server.webDir = option('web-dir');
if (unknown.length > 0 || !(count > 0) || (!process.env.TOCAYO_BINARY && only.some((name) => name in pageParts))) {
  console.error(
    'usage: TOCAYO_BINARY=PATH node bench/run.mjs [--only charts,load,names,logs] [--rounds N] [--seconds N]',
  );
  process.exit(2);
}

let missed = 0;
const row = (what, value, unit, budget, most = true) => {
  const ok = budget === null || (most ? value <= budget : value >= budget);
  if (!ok) missed += 1;
  const limit = budget === null ? '' : `${most ? 'at most' : 'at least'} ${budget} ${unit}`;
  console.log(
    `${ok ? '    ' : 'MISS'} ${what.padEnd(66)} ${value.toFixed(2).padStart(9)} ${unit.padEnd(4)} ${limit}`.trimEnd(),
  );
};

const load = () => loadavg()[0]?.toFixed(1);
const browser = await launch();
console.log(
  `machine: ${cpus().length} x ${cpus()[0]?.model.trim()}, load ${load()}, Chromium ${browser.version()} headless`,
);
await browser.close();
try {
  for (const name of only) {
    await parts[name](row, count);
    console.log(`     (${name}: load of the machine afterwards ${load()})`);
  }
} finally {
  await stopAll();
}
console.log(
  missed === 0 ? 'all within budget' : `${missed} over budget (times by the clock are for an otherwise idle machine)`,
);
