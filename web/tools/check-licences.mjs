// SPDX-License-Identifier: Apache-2.0
import { allowed, shippedPackages } from './licences.mjs';

const packages = shippedPackages();
const bad = packages.filter((p) => !allowed(p.licence));
for (const p of bad) console.error(`${p.name} ${p.version}: ${p.licence} is not an accepted licence`);
console.log(`${packages.length} shipped packages, ${bad.length} refused`);
process.exit(bad.length > 0 ? 1 : 0);
