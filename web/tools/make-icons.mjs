// SPDX-License-Identifier: Apache-2.0
// Draws public/icons/*.png from the one mark. Maskable icons keep it inside the safe circle of 80 %.
//   node tools/make-icons.mjs
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const out = fileURLToPath(new URL('../public/icons/', import.meta.url));
const line = 'M6 19.5h4.2l3-9 4.6 13 3-8.5 1.6 4.5H26';
const mark = (maskable) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${maskable ? '-5 -5 42 42' : '0 0 32 32'}">
  ${maskable ? '<rect x="-5" y="-5" width="42" height="42" fill="#4453d6"/>' : '<rect width="32" height="32" rx="7" fill="#4453d6"/>'}
  <path d="${line}" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"/></svg>`;

const browser = await chromium.launch({
  executablePath: process.env.TOCAYO_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
for (const [name, maskable] of [
  ['icon', false],
  ['maskable', true],
])
  for (const size of [192, 512]) {
    const page = await browser.newPage({ viewport: { width: size, height: size } });
    await page.setContent(`<style>*{margin:0}svg{display:block;width:${size}px}</style>${mark(maskable)}`);
    writeFileSync(`${out}${name}-${size}.png`, await page.screenshot({ omitBackground: true }));
    await page.close();
  }
await browser.close();
