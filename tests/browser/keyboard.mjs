// SPDX-License-Identifier: Apache-2.0
// The main journeys without a pointer: every step is a key, and whatever has the focus shows it.
import { assert, chartDrawn, close, open, paneOf, until } from './lib.mjs';
import { LOGIN } from './server.mjs';

/** What has the focus: its name and role, whether the focus can be seen, and whether it is in view. */
const focused = (page) =>
  page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    // A radio button is drawn by the label's text beside it.
    const shown = element.matches('input[type="radio"].sr-only') ? element.nextElementSibling : element;
    const rings = [shown, shown.closest('.cm-editor'), shown.parentElement].filter(Boolean);
    const ring = rings.some((e) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(e);
      return outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2;
    });
    const box = shown.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + Math.min(box.height / 2, 20)];
    const top = document.elementFromPoint(x, y);
    return {
      name: element.getAttribute('aria-label') ?? (element.innerText || element.title || element.value || ''),
      tag: element.tagName,
      type: element.getAttribute('type'),
      group: element.closest('fieldset')?.querySelector('legend')?.textContent ?? null,
      href: element.getAttribute('href'),
      ring,
      hidden: element.id !== 'main' && (!top || !(shown.contains(top) || top.contains(shown) || top.closest('label')?.contains(shown))),
      id: element.id,
    };
  });

/** Tab until this is reached; on the way everything must show its focus and lie in view. */
async function tabTo(page, what, wanted, most = 60) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press('Tab');
    const now = await focused(page);
    if (!now) continue;
    assert(now.ring, `no focus ring on ${now.tag} "${now.name}"`);
    assert(!now.hidden, `the focus is covered on ${now.tag} "${now.name}"`);
    if (wanted(now)) return now;
  }
  throw new Error(`${what} was not reached with ${most} tabs`);
}

const named = (text) => (f) => f.name.trim() === text || f.name.startsWith(text);

async function toHost(browser, base, instance) {
  const s = await open(browser, base, '/');
  await chartDrawn(s.page);
  const skip = await tabTo(s.page, 'the skip link', () => true, 1);
  assert(skip.href === '#main', `the first stop is "${skip.name}"`);
  await s.page.keyboard.press('Enter');
  await until('the page has the focus', async () => (await focused(s.page))?.id === 'main');
  await s.page.keyboard.press('g');
  await s.page.keyboard.press('s');
  await until('hosts', () => new URL(s.page.url()).pathname === '/hosts');
  await until('the list', () => s.page.locator('tbody a').first().isVisible());
  await tabTo(s.page, 'the host', (f) => f.href?.startsWith('/hosts/'));
  await s.page.keyboard.press('Enter');
  await until('the host page', () => decodeURIComponent(new URL(s.page.url()).pathname) === `/hosts/${instance}`);
  await chartDrawn(s.page);
  await s.page.keyboard.press('n');
  await until('a panel has the focus', () => s.page.evaluate(() => !!document.activeElement.closest('[data-panel]')));
  await s.page.keyboard.press('p');
  await s.page.keyboard.press('x');
  await until('the panel opens in Explore', () => paneOf(s.page.url())?.queries?.[0]?.expr?.includes('node_'));
  await close(s);
}

async function queryAndTable(browser, base) {
  const s = await open(browser, base, '/hosts');
  await s.page.keyboard.press('g');
  await s.page.keyboard.press('e');
  await until('the editor has the focus', () => s.page.evaluate(() => !!document.activeElement.closest('.cm-editor')));
  await s.page.keyboard.insertText('up');
  await s.page.keyboard.press('Escape');
  await s.page.keyboard.press('Shift+Enter');
  await chartDrawn(s.page);
  await tabTo(s.page, 'the view', (f) => f.type === 'radio' && f.group === 'Result as');
  await s.page.keyboard.press('ArrowRight');
  await until('the table', () => s.page.locator('tbody td').first().isVisible());
  await close(s);
}

async function timeRange(browser, base) {
  const s = await open(browser, base, '/');
  await s.page.keyboard.press('t');
  await s.page.keyboard.press('o');
  await until('the picker has the focus', async () => (await focused(s.page))?.tag === 'INPUT');
  await s.page.keyboard.insertText('2h');
  await s.page.keyboard.press('Enter');
  await until('two hours', () => new URL(s.page.url()).searchParams.get('from') === 'now-2h');
  await s.page.keyboard.press('t');
  await s.page.keyboard.press('ArrowLeft');
  await until('half a range earlier', () => /^\d{13}$/.test(new URL(s.page.url()).searchParams.get('from')));
  await s.page.keyboard.press('d');
  await s.page.keyboard.press('k');
  await until('the navigation is hidden', async () => (await s.page.locator('nav').count()) === 0);
  await s.page.keyboard.press('Escape');
  await until('it is back', async () => (await s.page.locator('nav').count()) > 0);
  await close(s);
}

async function makeTenant(browser, base) {
  const s = await open(browser, base, '/');
  await s.page.keyboard.press('g');
  await s.page.keyboard.press('m');
  await until('admin', () => new URL(s.page.url()).pathname === '/admin/about');
  await tabTo(s.page, 'the tab', named('Tenants'));
  await s.page.keyboard.press('Enter');
  await until('tenants', () => s.page.getByRole('heading', { name: 'Tenants' }).isVisible());
  await tabTo(s.page, 'the button', named('Add tenant'));
  await s.page.keyboard.press('Enter');
  await until('the form', () => s.page.locator('dialog[open] form').isVisible());
  await tabTo(s.page, 'the name', (f) => f.tag === 'INPUT', 5);
  await s.page.keyboard.insertText('by-keyboard');
  await s.page.keyboard.press('Enter');
  const row = s.page.getByRole('cell', { name: 'by-keyboard', exact: true });
  await until('it is in the list', () => row.isVisible());
  assert((await focused(s.page))?.name.startsWith('Add tenant'), 'the focus did not return to the button');
  await tabTo(s.page, 'its delete button', (f) => /by-keyboard/.test(f.name));
  await s.page.keyboard.press('Enter');
  await until('it asks', () => s.page.locator('dialog[open]').isVisible());
  await tabTo(s.page, 'delete', named('Delete'), 6);
  await s.page.keyboard.press('Enter');
  await until('it is gone', async () => !(await row.isVisible()));
  await close(s);
}

async function signInAndOut(browser, authBase) {
  const s = await open(browser, authBase, '/me');
  await until('the door', async () => (await focused(s.page))?.tag === 'INPUT');
  await s.page.keyboard.insertText(LOGIN.login);
  await s.page.keyboard.press('Tab');
  await s.page.keyboard.insertText(LOGIN.password);
  await s.page.keyboard.press('Enter');
  await until('the page asked for', () => new URL(s.page.url()).pathname === '/me');
  await until('the page', () => s.page.locator('main h1').isVisible());
  await tabTo(s.page, 'the switch of single keys', (f) => f.type === 'checkbox');
  await s.page.keyboard.press('Space');
  await s.page.keyboard.press('g');
  await s.page.keyboard.press('h');
  await s.page.keyboard.press('Control+k');
  await until('keys with Ctrl still work', () => s.page.locator('dialog[open] [role="combobox"]:focus').isVisible());
  assert(new URL(s.page.url()).pathname === '/me', 'single keys fire though they are off');
  await s.page.keyboard.insertText('sign out');
  await until('the action', () => s.page.getByRole('option', { name: /Sign out/ }).isVisible());
  await s.page.keyboard.press('Enter');
  await until('the door again', () => s.page.getByLabel('User name').isVisible());
  await close(s);
}

export function keyboardChecks(instance) {
  return [
    { name: 'keyboard only: home, a host, a panel in Explore', data: true, run: (b, env) => toHost(b, env.base, instance) },
    { name: 'keyboard only: a query, its chart and table', data: true, run: (b, env) => queryAndTable(b, env.base) },
    { name: 'keyboard only: time range, kiosk', run: (b, env) => timeRange(b, env.base) },
    { name: 'keyboard only: a tenant is made and deleted', run: (b, env) => makeTenant(b, env.base) },
    { name: 'keyboard only: sign in, switch off single keys, sign out', run: (b, env) => signInAndOut(b, env.authBase) },
  ];
}
