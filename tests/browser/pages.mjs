// SPDX-License-Identifier: Apache-2.0
// Every page in both themes, both languages and on a phone: axe with no rule off, translations, no overflow.
import { assert, axe, catalogues, chartDrawn, close, exploreUrl, noOverflow, open, until, visibleTexts } from './lib.mjs';

const settled = (page) =>
  until('nothing is loading', () => page.evaluate(() => document.querySelectorAll('main [aria-busy="true"], .cm-hold').length === 0));

export function pageList(instance) {
  const cpu = ['sum by (mode) (rate(node_cpu_seconds_total[15s]))'];
  return [
    { name: 'home', path: '/', ready: chartDrawn },
    { name: 'explore', path: exploreUrl(cpu), ready: chartDrawn },
    { name: 'explore-table', path: exploreUrl(['up', 'node_load1'], undefined, 'table'), ready: (p) => until('rows', () => p.locator('tbody td').first().isVisible()) },
    { name: 'explore-explain', path: exploreUrl(cpu, undefined, 'explain'), ready: (p) => until('tree', () => p.locator('code').first().isVisible()) },
    { name: 'explore-empty', path: '/explore' },
    { name: 'hosts', path: '/hosts' },
    { name: 'host', path: `/hosts/${encodeURIComponent(instance)}`, ready: chartDrawn },
    { name: 'admin-about', path: '/admin/about' },
    { name: 'admin-users', path: '/admin/users' },
    { name: 'admin-tokens', path: '/admin/tokens' },
    { name: 'admin-tenants', path: '/admin/tenants' },
    { name: 'admin-audit', path: '/admin/audit' },
    { name: 'profile', path: '/me' },
    { name: 'sign-in', path: '/login' },
    { name: 'set-up', path: '/setup?token=x' },
    { name: 'not-found', path: '/no/such/page' },
    { name: 'time-picker', path: '/', ready: openTimePicker },
    { name: 'palette', path: '/hosts', ready: openPalette },
    { name: 'shortcuts', path: '/hosts', ready: openShortcuts, desktop: true },
    { name: 'metrics-browser', path: '/explore', ready: openBrowser },
    { name: 'user-dialog', path: '/admin/users', ready: openUserDialog },
  ];
}

async function openTimePicker(page) {
  await page.locator('[aria-haspopup="dialog"]').filter({ has: page.locator('svg') }).nth(0).click();
  await until('the picker', () => page.locator('[role="dialog"] form').first().isVisible());
}
async function openPalette(page) {
  await page.keyboard.press('Control+k');
  await until('the palette', () => page.getByRole('combobox').isVisible());
}
async function openShortcuts(page) {
  await page.locator('body').press('?');
  await until('the overlay', () => page.locator('dialog[open] dl').first().isVisible());
}
async function openBrowser(page) {
  await page.locator('main header button').first().click();
  await until('names', async () => (await page.locator('dialog li button code').count()) > 0);
  await page.locator('dialog li button').first().click();
}
async function openUserDialog(page) {
  // With login off there may be no user yet: the button is there all the same.
  const add = page.locator('main section header button').first();
  await until('the list', () => add.isVisible());
  await add.click();
  await until('the form', () => page.locator('dialog form').isVisible());
}

async function arrive(browser, base, entry, options) {
  const s = await open(browser, base, entry.path, options);
  await settled(s.page);
  await entry.ready?.(s.page);
  await s.page.evaluate(() => document.fonts.ready);
  return s;
}

/** English texts that would be a mistake on a Spanish page, and raw keys, which are a mistake on any. */
function translationMistakes(texts) {
  const english = catalogues('en');
  const spanish = catalogues('es');
  const fine = new Set(spanish.values());
  const wrong = new Set([...english.values()].filter((text) => !fine.has(text) && !text.includes('{{')));
  const keys = new Set([...english.keys()].map((k) => k.slice(k.indexOf('#') + 1)).filter((k) => k.includes('.')));
  return texts.filter((text) => wrong.has(text) || keys.has(text));
}

export function pageChecks(instance) {
  const checks = [];
  for (const entry of pageList(instance)) {
    for (const theme of ['dark', 'light'])
      for (const language of ['en', 'es'])
        checks.push([
          `${entry.name} ${theme} ${language}: axe${language === 'es' ? ', translated' : ''}`,
          async (browser, base) => {
            const s = await arrive(browser, base, entry, { theme, language });
            const found = await axe(s.page);
            assert(found.length === 0, found.join(' | '));
            const texts = await visibleTexts(s.page);
            const mistakes = language === 'es' ? translationMistakes(texts) : [];
            assert(mistakes.length === 0, `not translated: ${[...new Set(mistakes)].join(', ')}`);
            assert((await s.page.evaluate(() => document.documentElement.lang)) === language, 'lang attribute');
            assert((await s.page.evaluate(() => document.documentElement.dataset.mantineColorScheme)) === theme, 'theme attribute');
            await noOverflow(s.page, entry.name);
            await close(s);
          },
        ]);
    if (!entry.desktop)
      checks.push([
        `${entry.name} on a phone: no sideways scrolling, axe`,
        async (browser, base) => {
          const s = await arrive(browser, base, entry, { width: 390, language: 'es' });
          await noOverflow(s.page, entry.name);
          const found = await axe(s.page);
          assert(found.length === 0, found.join(' | '));
          await close(s);
        },
      ]);
  }
  return checks;
}

export async function screens(browser, base, instance, dir) {
  for (const entry of pageList(instance))
    for (const theme of ['dark', 'light'])
      for (const width of [1440, 390]) {
        if (entry.desktop && width === 390) continue;
        const s = await arrive(browser, base, entry, { theme, width });
        await s.page.screenshot({ path: `${dir}/${entry.name}-${theme}-${width}.png` });
        await s.context.close();
      }
}
