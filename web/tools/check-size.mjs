// SPDX-License-Identifier: Apache-2.0
// Budgets of the built page, in gzip -9 kilobytes (1 kB = 1000 bytes). A broken budget fails.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const manifest = JSON.parse(readFileSync(join(dist, 'manifest.build.json'), 'utf8'));
const gz = (file) => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length / 1000;

/** Files of an entry with everything it imports at once. */
function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of manifest[key]?.imports ?? []) closure(next, seen);
  return seen;
}
function files(keys) {
  const js = new Set();
  const css = new Set();
  for (const key of keys) {
    const entry = manifest[key];
    if (entry.file.endsWith('.js')) js.add(entry.file);
    for (const file of entry.css ?? []) css.add(file);
  }
  return { js, css };
}
const sum = (set) => [...set].reduce((total, file) => total + gz(file), 0);

const entry = 'index.html';
const home = [
  entry,
  'src/features/home/HomePage.tsx',
  'src/shared/i18n/catalogue/en.json',
  'src/features/home/i18n/en.json',
  'src/features/hosts/i18n/en.json',
];
const first = files(home.flatMap((key) => [...closure(key)]));
const firstPaint = `assets/${readdirSync(join(dist, 'assets')).find((f) => f.startsWith('first-paint'))}`;
const failures = [];
function check(name, value, budget) {
  const ok = value <= budget;
  console.log(`${ok ? 'ok  ' : 'OVER'} ${name}: ${value.toFixed(1)} kB of ${budget} kB`);
  if (!ok) failures.push(name);
}

check(`JS before first interactive Home (${first.js.size} files)`, sum(new Set([...first.js, firstPaint])), 250);
check(`CSS of Home (${first.css.size} files)`, sum(first.css), 40);

const fonts = readdirSync(join(dist, 'assets')).filter((f) => /latin-wght-normal.*\.woff2$/.test(f));
check(
  `fonts of Latin text (${fonts.length} files)`,
  fonts.reduce((t, f) => t + readFileSync(join(dist, 'assets', f)).length / 1000, 0),
  90,
);

const shellFiles = /files":(\[[^\]]*\])/.exec(readFileSync(join(dist, 'sw.js'), 'utf8'));
if (!shellFiles) throw new Error('sw.js has no list of the shell');
const kept = JSON.parse(shellFiles[1]);
check(`kept by the service worker (${kept.length} files)`, sum(new Set(kept)), 400);
if (kept.some((file) => file.startsWith('api/'))) failures.push('the service worker keeps API answers');

const shell = closure(entry);
for (const [key, value] of Object.entries(manifest)) {
  if (!value.isDynamicEntry || !value.file.endsWith('.js')) continue;
  const own = files([...closure(key)].filter((k) => !shell.has(k)));
  const size = sum(own.js);
  if (key.includes('/editor/')) check(`editor chunk ${key.split('/').at(-1)}`, size, 180);
  else if (size > 40) check(`route or part ${key}`, size, 120);
}
const total = readdirSync(join(dist, 'assets')).reduce((t, f) => t + gz(join('assets', f)), 0);
console.log(`     all assets, gzip: ${total.toFixed(0)} kB`);
if (failures.length > 0) {
  console.error(`over budget: ${failures.join(', ')}`);
  process.exit(1);
}
