// SPDX-License-Identifier: Apache-2.0
// Browser, watchers and small helpers of the checks. Everything waits on a condition with a deadline.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('../../web/', import.meta.url));
const require = createRequire(`${web}package.json`);
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const DEADLINE = Number(process.env.TOCAYO_BROWSER_DEADLINE_MS ?? 120_000);

/** The same engine without the windows of a desktop browser, which cost half of its time. */
const SHELL = '/usr/bin/chromium-headless-shell';

const executablePath = process.env.TOCAYO_CHROMIUM ?? (existsSync(SHELL) ? SHELL : '/usr/bin/chromium');

/** What draws the pixels: the major version, and whether it is the engine alone. */
export function drawnBy(version) {
  return `${version.split('.')[0]}${executablePath.endsWith('headless-shell') ? ' headless shell' : ''}`;
}

export function launch(flags = []) {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-dev-shm-usage', ...flags],
  });
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

/** Polls until the function gives something true; its last value is returned. */
export async function until(what, fn, deadline = DEADLINE) {
  const end = Date.now() + deadline;
  let last;
  for (;;) {
    try {
      last = await fn();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${deadline} ms: ${what} (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/**
 * A page that records what must never happen, in a fresh context. With `shared`, in the one that all such pages of this
 * language and width have: the browser reads and compiles the scripts once for them.
 */
export async function open(browser, base, path, options = {}) {
  const { theme = 'dark', language = 'en', width = 1440, height = width < 600 ? 844 : 900, allow = [] } = options;
  const { storageState, prefs, prepare, workers = 'block', shared = false } = options;
  const phone = width < 600;
  const dress = {
    viewport: { width, height },
    colorScheme: theme,
    locale: language === 'es' ? 'es-ES' : 'en-GB',
    timezoneId: 'Europe/Madrid',
    reducedMotion: 'reduce',
    hasTouch: phone,
    isMobile: phone,
    serviceWorkers: workers,
    ...(storageState ? { storageState } : {}),
  };
  const context = await (shared ? browser.sharedContext(dress) : browser.newContext(dress));
  context.setDefaultTimeout(DEADLINE);
  context.setDefaultNavigationTimeout(DEADLINE);
  const page = await context.newPage();
  const faults = [];
  const fault = (text) => {
    if (!allow.some((pattern) => pattern.test(text))) faults.push(text);
  };
  const origin = new URL(base).origin;
  page.on('console', (message) => {
    if (message.type() === 'error') fault(`console: ${message.text()} ${message.location().url ?? ''}`);
  });
  page.on('pageerror', (error) => fault(`page error: ${error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && url.origin !== origin) fault(`foreign request: ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.__violations = [];
    document.addEventListener('securitypolicyviolation', (event) =>
      window.__violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile ?? ''}`),
    );
  });
  if (prefs)
    await page.addInitScript((kept) => {
      if (!localStorage.getItem('tocayo.prefs')) localStorage.setItem('tocayo.prefs', JSON.stringify(kept));
    }, prefs);
  await prepare?.(page, context);
  await page.goto(base + path, { waitUntil: 'domcontentloaded' });
  const session = { page, context, faults, shared };
  await until(`${path} shows its heading`, () => page.locator('h1').first().isVisible());
  return session;
}

/** Closes the page and fails on anything the watchers saw. */
export async function close({ page, context, faults, shared }) {
  const violations = await page.evaluate(() => window.__violations ?? []).catch(() => []);
  await (shared ? page : context).close();
  const all = [...faults, ...violations.map((v) => `CSP: ${v}`)];
  assert(all.length === 0, all.slice(0, 5).join(' | '));
}

/** What another theme can change, as it changes colours alone: all other rules read the document. */
const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

/** Every rule that is on by default, and the size of targets (WCAG 2.2), which is not; or, unless all is to be seen, colours. */
export async function axe(page, coloursOnly = false) {
  if (!(await page.evaluate(() => !!window.axe))) await page.evaluate(axeSource);
  const found = await page.evaluate(async (only) => {
    const which = only ? { runOnly: { type: 'rule', values: only } } : { rules: { 'target-size': { enabled: true } } };
    const result = await window.axe.run(document, { resultTypes: ['violations'], ...which });
    return result.violations.map((v) => ({
      id: v.id,
      nodes: v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} — ${n.failureSummary?.split('\n')[1]?.trim() ?? ''}`),
      count: v.nodes.length,
    }));
  }, coloursOnly && !process.env.TOCAYO_FULL ? COLOUR_RULES : null);
  return found.map((v) => `${v.id} ×${v.count}: ${v.nodes.join('; ')}`);
}

export async function noOverflow(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert(over <= 0, `${where} is ${over} px wider than the window`);
}

/** Every catalogue of a language: key → text. */
export function catalogues(language) {
  const out = new Map();
  const add = (folder) => {
    const text = JSON.parse(readFileSync(`${folder}/${language}.json`, 'utf8'));
    for (const [key, value] of Object.entries(text)) out.set(`${folder}#${key}`, value);
  };
  add(`${web}src/shared/i18n/catalogue`);
  for (const feature of readdirSync(`${web}src/features`)) add(`${web}src/features/${feature}/i18n`);
  return out;
}

/** Texts and keys that are the same in both languages. */
export const sameInBoth = JSON.parse(readFileSync(`${web}src/shared/i18n/sameInBoth.json`, 'utf8'));

/** Texts and names a person can meet on the page now. */
export function visibleTexts(page) {
  return page.evaluate(() => {
    const out = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.textContent.trim();
      if (text && !walker.currentNode.parentElement.closest('script, style, .cm-editor')) out.push(text);
    }
    for (const element of document.querySelectorAll('[aria-label], [title], [placeholder]'))
      for (const name of ['aria-label', 'title', 'placeholder']) {
        const text = element.getAttribute(name)?.trim();
        if (text) out.push(text);
      }
    return out;
  });
}

export function exploreUrl(exprs, range = { from: 'now-5m', to: 'now' }, view) {
  const pane = {
    datasource: 'tocayo-metrics',
    queries: exprs.map((expr, i) => ({ refId: String.fromCharCode(65 + i), expr, range: true, instant: true })),
    range,
    ...(view ? { panelsState: { tocayo: { view } } } : {}),
  };
  return `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: pane }))}`;
}

export function paneOf(url) {
  return Object.values(JSON.parse(new URL(url).searchParams.get('panes') ?? '{}'))[0];
}

/** A fingerprint of what the first chart shows. */
export function canvasPrint(page) {
  return page.evaluate(() => document.querySelector('.uplot canvas')?.toDataURL().slice(-4000) ?? '');
}

export const chartDrawn = (page) =>
  until('a chart with series is drawn', () =>
    page.evaluate(() => {
      const canvas = document.querySelector('.uplot canvas');
      return !!canvas && canvas.width > 0 && document.querySelectorAll('[class*="legendItem"]').length > 0;
    }),
  );
