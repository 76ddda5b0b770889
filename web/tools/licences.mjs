// SPDX-License-Identifier: Apache-2.0
// Licences of what the page ships: the production packages of the lockfile.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

export const ALLOWED = new Set([
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'MPL-2.0',
  'OFL-1.1',
  '0BSD',
  'CC0-1.0',
]);

/** In the lockfile for server rendering only. The build fails when one of their modules gets into a chunk. */
export const NOT_BUNDLED = new Set(['isbot']);

function licenceOf(manifest) {
  const value = manifest.license ?? manifest.licenses;
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map((v) => v.type ?? v).join(' OR ');
  return value?.type ?? 'unknown';
}

export function shippedPackages() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const found = new Map();
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '' || entry.dev || entry.devOptional || entry.optional) continue;
    const name = path.slice(path.lastIndexOf('node_modules/') + 13);
    if (name.startsWith('@types/') || name === 'csstype' || NOT_BUNDLED.has(name)) continue;
    const manifest = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'));
    found.set(`${name}@${manifest.version}`, { name, version: manifest.version, licence: licenceOf(manifest) });
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** `A OR B` needs one allowed part, `A AND B` all. */
export function allowed(licence) {
  const parts = licence.replace(/[()]/g, '').split(/ OR /);
  return parts.some((part) => part.split(/ AND /).every((one) => ALLOWED.has(one.trim())));
}
