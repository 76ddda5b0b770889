// SPDX-License-Identifier: Apache-2.0
// Types of the server's API, generated from docs/api/openapi.yaml into src/shared/api/generated.d.ts whenever that file
// has changed. openapi-typescript wants a TypeScript older than the page's, so it lives in a package of its own.
//   node tools/api-types.mjs [--check]
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const source = path('../../docs/api/openapi.yaml');
const target = path('../src/shared/api/generated.d.ts');
const home = path('openapi');

const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 32);
const current = existsSync(target) && readFileSync(target, 'utf8').slice(0, 300).includes(hash);
if (process.argv.includes('--check')) {
  if (!current) console.error('src/shared/api/generated.d.ts is older than docs/api/openapi.yaml: npm run api');
  process.exit(current ? 0 : 1);
}
if (!current) {
  if (!existsSync(`${home}/node_modules`)) {
    const npm = process.env.npm_execpath;
    if (!npm) throw new Error('run this by npm: npm run api');
    execFileSync(process.execPath, [npm, 'ci', '--silent', '--no-audit', '--no-fund'], { cwd: home, stdio: 'inherit' });
  }
  const types = execFileSync(process.execPath, [`${home}/node_modules/.bin/openapi-typescript`, source], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const header = `// SPDX-License-Identifier: Apache-2.0\n// Generated from docs/api/openapi.yaml (${hash}) by tools/api-types.mjs.\n`;
  writeFileSync(target, header + types);
  console.log('src/shared/api/generated.d.ts written');
}
