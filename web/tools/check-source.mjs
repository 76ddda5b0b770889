// SPDX-License-Identifier: Apache-2.0
// File rules that the linter does not know: licence line, file length, and who may import whom.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const MOST_LINES = 400;
const GENERATED = 'src/shared/api/generated.d.ts';
const problems = [];

function* walk(dir) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (statSync(path).isDirectory()) yield* walk(path);
    else yield path;
  }
}

const featureOf = (path) => /^src\/features\/([^/]+)\//.exec(path)?.[1];

for (const folder of ['src', 'tools', '../tests/browser'])
  for (const file of walk(join(root, folder))) {
    const path = relative(root, file);
    if (!/\.(tsx?|mjs|mts|css)$/.test(path) || path === GENERATED || path.includes('node_modules/')) continue;
    const text = readFileSync(file, 'utf8');
    const lines = text.split('\n').length;
    if (!text.slice(0, 200).includes('SPDX-License-Identifier: Apache-2.0')) problems.push(`${path}: no SPDX line`);
    if (lines > MOST_LINES) problems.push(`${path}: ${lines} lines, at most ${MOST_LINES}`);
    const own = featureOf(path);
    for (const [, target] of text.matchAll(/from '(?:@\/|(?:\.\.\/)+)(features\/[^']+|app\/[^']+)'/g)) {
      if (path.startsWith('src/app/') || path.endsWith('types.d.ts')) continue;
      if (target.startsWith('app/')) problems.push(`${path}: imports the shell (${target})`);
      else if (featureOf(`src/${target}/`) !== own) problems.push(`${path}: imports another feature (${target})`);
    }
    if (path.endsWith('.tsx') && /dangerouslySetInnerHTML|\.innerHTML/.test(text)) problems.push(`${path}: raw HTML`);
  }

for (const problem of problems) console.error(problem);
console.log(`source rules: ${problems.length} problems`);
process.exit(problems.length > 0 ? 1 : 0);
