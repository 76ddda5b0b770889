// SPDX-License-Identifier: Apache-2.0
// Every page in every theme, both languages and both widths: axe with no rule off, translations, no overflow.
import {
  assert,
  axe,
  catalogues,
  chartDrawn,
  close,
  exploreUrl,
  noOverflow,
  open,
  sameInBoth,
  until,
  visibleTexts,
} from './lib.mjs';

const settled = (page) =>
  until('nothing is loading', () =>
    page.evaluate(() => document.querySelectorAll('main [aria-busy="true"], .cm-hold').length === 0),
  );

export const CPU = 'sum by (mode) (rate(node_cpu_seconds_total[15s]))';

export function pageList(instance) {
  const rows = (p) => until('rows', () => p.locator('tbody td').first().isVisible());
  const tree = (p) => until('tree', () => p.locator('code').first().isVisible());
  return [
    { name: 'home', path: '/', ready: chartDrawn, data: true },
    { name: 'explore', path: exploreUrl([CPU]), ready: chartDrawn, data: true, dense: true },
    { name: 'explore-table', path: exploreUrl(['up', 'node_load1'], undefined, 'table'), ready: rows, data: true, dense: true },
    { name: 'explore-explain', path: exploreUrl([CPU], undefined, 'explain'), ready: tree, data: true, dense: true },
    { name: 'explore-empty', path: '/explore', dense: true },
    { name: 'hosts', path: '/hosts' },
    { name: 'host', path: `/hosts/${encodeURIComponent(instance)}`, ready: chartDrawn, data: true },
    { name: 'admin-about', path: '/admin/about' },
    { name: 'admin-users', path: '/admin/users' },
    { name: 'admin-tokens', path: '/admin/tokens' },
    { name: 'admin-tenants', path: '/admin/tenants' },
    { name: 'admin-audit', path: '/admin/audit' },
    { name: 'profile', path: '/me' },
    { name: 'sign-in', path: '/login' },
    { name: 'set-up', path: '/setup?token=x' },
    { name: 'not-found', path: '/no/such/page' },
    { name: 'time-picker', path: '/', ready: openTimePicker, dense: true },
    { name: 'palette', path: '/hosts', ready: openPalette },
    { name: 'shortcuts', path: '/hosts', ready: openShortcuts, desktop: true },
    { name: 'metrics-browser', path: '/explore', ready: openBrowser, dense: true },
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

export async function arrive(browser, base, entry, options) {
  const s = await open(browser, base, entry.path, options);
  await settled(s.page);
  await entry.ready?.(s.page);
  await s.page.evaluate(() => document.fonts.ready);
  return s;
}

/** English texts that would be a mistake on a Spanish page, and raw keys, which are a mistake on any. */
export function translationMistakes(texts, language) {
  const english = catalogues('en');
  const spanish = catalogues('es');
  // A Spanish text that is its English one is no translation, unless the word is the same.
  const echoed = ([key, text]) =>
    spanish.get(key) === text && !sameInBoth.texts.includes(text) && !sameInBoth.keys.includes(key.slice(key.indexOf('#') + 1));
  const fine = new Set([...english].filter((entry) => !echoed(entry)).map(([key]) => spanish.get(key)));
  const wrong = new Set(
    language === 'es' ? [...english.values()].filter((text) => !fine.has(text) && !text.includes('{{')) : [],
  );
  const keys = new Set([...english.keys()].map((k) => k.slice(k.indexOf('#') + 1)).filter((k) => k.includes('.')));
  return texts.filter((text) => wrong.has(text) || keys.has(text));
}

/** Below 44 px on touch. Legends and the editor's surroundings are lists of many small things and stay denser. */
function smallTargets(page) {
  return page.evaluate(() => {
    const small = [];
    const targets = 'button, input, select, summary, [role="button"], nav a';
    for (const element of document.querySelectorAll(targets)) {
      if (!element.checkVisibility() || element.closest('[class*="legend"], thead, dialog li, [hidden]')) continue;
      const choice = element.matches('input[type="radio"], input[type="checkbox"]');
      const box = (choice && element.closest('label, .mantine-Checkbox-root, .mantine-Switch-root')) || element;
      const { width, height } = box.getBoundingClientRect();
      if (width > 1 && (height < 43.5 || width < 43.5))
        small.push(`${element.getAttribute('aria-label') || element.innerText || element.type} ${Math.round(width)}×${Math.round(height)}`);
    }
    return small;
  });
}

async function dress(page, theme) {
  await page.emulateMedia(theme === 'contrast' ? { contrast: 'more' } : { colorScheme: theme, contrast: null });
  await until(`theme ${theme}`, () => page.evaluate((t) => document.documentElement.dataset.theme === t, theme));
}

/** One load for a language and a width; the themes follow the system live, as they must. */
export function pageChecks(instance) {
  const checks = [];
  for (const entry of pageList(instance))
    for (const width of entry.desktop ? [1440] : [1440, 390])
      for (const language of ['en', 'es'])
        checks.push({
          name: `${entry.name} ${width} ${language}: axe in each theme, translated, fits`,
          data: entry.data,
          run: async (browser, { base }) => {
            const s = await arrive(browser, base, entry, { language, width, shared: true });
            const texts = await visibleTexts(s.page);
            const mistakes = [...new Set(translationMistakes(texts, language))];
            assert(mistakes.length === 0, `not translated: ${mistakes.join(', ')}`);
            assert((await s.page.evaluate(() => document.documentElement.lang)) === language, 'lang attribute');
            await noOverflow(s.page, entry.name);
            if (width === 390 && !entry.dense) {
              const small = await smallTargets(s.page);
              assert(small.length === 0, `too small for a finger: ${small.join(', ')}`);
            }
            const themes = language === 'en' ? ['dark', 'light', 'contrast'] : ['dark', 'light'];
            for (const theme of themes) {
              await dress(s.page, theme);
              const found = await axe(s.page, theme !== themes[0]);
              assert(found.length === 0, `${theme}: ${found.join(' | ')}`);
            }
            await close(s);
          },
        });
  return checks;
}
