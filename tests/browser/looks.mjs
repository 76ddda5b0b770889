// SPDX-License-Identifier: Apache-2.0
// How it looks: nothing is cut off when texts are longer, nothing flashes or jumps, and the same state draws the same
// pixels.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { assert, chartDrawn, close, drawnBy, exploreUrl, noOverflow, open, until } from './lib.mjs';
import { arrive, pageList } from './pages.mjs';

const require = createRequire(fileURLToPath(new URL('../../web/package.json', import.meta.url)));
const { PNG } = require('pngjs');
const images = fileURLToPath(new URL('images/', import.meta.url));
const MOST_DIFFERENT = 0.001;

/** Texts that end outside the box that cuts them, without an ellipsis that a title explains. */
function clippedTexts(page) {
  return page.evaluate(() => {
    const found = [];
    const cuts = (style) => /hidden|clip/.test(style.overflowX) || /hidden|clip/.test(style.overflowY);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const text = node.textContent.trim();
      const own = node.parentElement;
      if (!text || own.closest('script, style, .sr-only, .cm-editor, svg, canvas') || !own.checkVisibility()) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const rect = range.getBoundingClientRect();
      if (rect.width === 0) continue;
      for (let box = own; box && box !== document.body; box = box.parentElement) {
        const style = getComputedStyle(box);
        const frame = box.getBoundingClientRect();
        if (frame.width <= 1 || style.clipPath !== 'none') break; // for screen readers only
        if (/auto|scroll/.test(style.overflowX + style.overflowY)) break; // can be scrolled to
        if (!cuts(style)) continue;
        const over = rect.right > frame.right + 1 || rect.left < frame.left - 1 || rect.bottom > frame.bottom + 2;
        const explained = style.textOverflow === 'ellipsis' && box.closest('[title], [aria-label], a, button, td, li');
        if (over && !explained) found.push(`"${text.slice(0, 40)}" in ${box.className || box.tagName}`);
        break;
      }
    }
    return [...new Set(found)];
  });
}

/** Where room is short at any width; the others are looked at where it is shortest. */
const TIGHT = ['home', 'explore', 'hosts', 'profile', 'user-dialog'];

function pseudoChecks(instance) {
  const checks = [];
  for (const entry of pageList(instance))
    for (const width of entry.desktop ? [1440] : TIGHT.includes(entry.name) ? [1440, 390] : [390])
      checks.push({
        name: `longer texts: ${entry.name} ${width}, nothing is cut off`,
        data: entry.data,
        run: async (browser, { base }) => {
          const path = `${entry.path}${entry.path.includes('?') ? '&' : '?'}pseudo=1`;
          const s = await arrive(browser, base, { ...entry, path }, { width, shared: true });
          await noOverflow(s.page, entry.name);
          const clipped = await clippedTexts(s.page);
          assert(clipped.length === 0, clipped.slice(0, 6).join(', '));
          await close(s);
        },
      });
  return checks;
}

/** Nothing but this address's own theme is ever painted, and what is drawn stays where it is. */
function firstPaintCheck(theme) {
  return {
    name: `first paint: ${theme} from the first frame on, no jumps`,
    data: true,
    run: async (browser, { base }) => {
      const s = await open(browser, base, '/', {
        theme: theme === 'light' ? 'dark' : 'light', // the system wants the other one
        prefs: { theme, language: 'en' },
        prepare: (page) =>
          page.addInitScript(() => {
            window.__seen = [];
            window.__shift = 0;
            const note = () => {
              const style = document.body && getComputedStyle(document.body);
              if (style && document.styleSheets.length > 0)
                window.__seen.push(`${document.documentElement.dataset.theme} ${style.backgroundColor} ${style.color}`);
              requestAnimationFrame(note);
            };
            requestAnimationFrame(note);
            new PerformanceObserver((list) => {
              for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
            }).observe({ type: 'layout-shift', buffered: true });
          }),
      });
      await chartDrawn(s.page);
      const { seen, shift } = await s.page.evaluate(() => ({ seen: [...new Set(window.__seen)], shift: window.__shift }));
      assert(seen.length === 1 && seen[0].startsWith(`${theme} `), `painted: ${seen.join(' → ')}`);
      assert(shift <= 0.02, `layout shift ${shift.toFixed(3)} of 0.02`);
      await close(s);
    },
  };
}

const FROZEN = Date.UTC(2026, 10, 24, 12, 0, 0);
/** Values that depend on nothing but the time asked for. */
const WAVE = 'label_replace(sin(vector(time()) / 200), "wave", "a", "", "") or label_replace(cos(vector(time()) / 300), "wave", "b", "", "")';

/**
 * Each picture is drawn twice in fresh contexts and compared; that holds everywhere. Against the kept image it is
 * compared only by the Chromium version that drew it: another one may place glyphs differently (images.json).
 */
const PICTURES = [
  { name: 'sign-in-dark', path: '/login' },
  { name: 'sign-in-light-phone', path: '/login', theme: 'light', width: 390 },
  { name: 'not-found-contrast', path: '/no/such/page', theme: 'contrast' },
  { name: 'keyboard-light', path: '/no/such/page', theme: 'light', overlay: true },
  { name: 'explore-wave-dark', path: exploreUrl([WAVE], { from: String(FROZEN - 3_600_000), to: String(FROZEN) }), chart: true, twiceOnly: true },
];

async function draw(browser, base, picture) {
  const { theme = 'dark', width = 760 } = picture;
  const s = await open(browser, base, `${picture.path}${picture.path.includes('?') ? '&' : '?'}timezone=utc`, {
    width,
    height: 560,
    prefs: { theme, language: 'en' },
    prepare: (page) => page.clock.setFixedTime(FROZEN),
  });
  if (picture.chart) await chartDrawn(s.page);
  if (picture.overlay) {
    await s.page.locator('body').press('?');
    await until('the overlay', () => s.page.locator('dialog[open] dl').first().isVisible());
  }
  await s.page.evaluate(() => document.fonts.ready);
  await s.page.evaluate(() => document.activeElement?.blur());
  // The machine's name is printed at the door, and with a chart how long its query took.
  const differs = s.page.locator('[data-differs], section header span');
  const shot = await s.page.screenshot({ mask: [differs] });
  await close(s);
  return PNG.sync.read(shot);
}

async function compare(one, two, what) {
  const { default: pixelmatch } = await import(require.resolve('pixelmatch'));
  assert(one.width === two.width && one.height === two.height, `${what}: sizes differ`);
  const different = pixelmatch(one.data, two.data, null, one.width, one.height, { threshold: 0.1 });
  const share = different / (one.width * one.height);
  assert(share <= MOST_DIFFERENT, `${what}: ${(share * 100).toFixed(2)} % of the pixels differ`);
}

function pictureCheck(picture) {
  return {
    name: `picture: ${picture.name}`,
    run: async (browser, { base, update }) => {
      const [one, two] = [await draw(browser, base, picture), await draw(browser, base, picture)];
      await compare(one, two, 'drawn twice');
      if (picture.twiceOnly) return;
      const list = `${images}images.json`;
      const known = existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : {};
      const file = `${images}${picture.name}.png`;
      const chromium = drawnBy(browser.version());
      if (update) {
        writeFileSync(file, PNG.sync.write(one));
        writeFileSync(list, `${JSON.stringify({ ...known, [picture.name]: chromium }, null, 2)}\n`);
      } else if (known[picture.name] === chromium) {
        await compare(PNG.sync.read(readFileSync(file)), one, 'against the kept image');
      }
    },
  };
}

export function lookChecks(instance) {
  return [
    ...PICTURES.map(pictureCheck),
    firstPaintCheck('light'),
    firstPaintCheck('dark'),
    ...pseudoChecks(instance),
  ];
}
