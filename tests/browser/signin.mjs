// SPDX-License-Identifier: Apache-2.0
// The door, on a server that wants a sign-in.
import { assert, close, open, until } from './lib.mjs';
import { LOGIN, Server } from './server.mjs';

export async function enter(browser, base, path, options = {}) {
  const s = await open(browser, base, path, options);
  await until('the door is shown', () => s.page.getByLabel('User name').isVisible());
  await s.page.getByLabel('User name').fill(LOGIN.login);
  await s.page.getByLabel('Password', { exact: true }).fill(LOGIN.password);
  await s.page.getByRole('button', { name: 'Sign in' }).click();
  await until('the page asked for is shown', () => new URL(s.page.url()).pathname === path.split('?')[0]);
  return s;
}

export const signIn = [
  {
    name: 'sign-in: refused, accepted, profile, out',
    run: async (browser, { authBase }) => {
      const s = await open(browser, authBase, '/admin/users', { allow: [/status of 401/] });
      await until('the door is shown', () => s.page.getByLabel('User name').isVisible());
      await s.page.getByLabel('User name').fill(LOGIN.login);
      await s.page.getByLabel('Password', { exact: true }).fill('certainly not this one');
      await s.page.getByRole('button', { name: 'Sign in' }).click();
      await until('it is refused in words', () => s.page.getByText('Name or password is wrong.').isVisible());
      await s.page.getByLabel('Password', { exact: true }).fill(LOGIN.password);
      await s.page.getByRole('button', { name: 'Sign in' }).click();
      await until('the page asked for is shown', () => /\/admin\/users/.test(s.page.url()));
      await until('users are listed', () => s.page.getByText(LOGIN.login, { exact: true }).first().isVisible());
      await s.page.goto(`${authBase}/me`);
      await s.page.getByRole('button', { name: 'Sign out' }).click();
      await until('the door again', () => s.page.getByLabel('User name').isVisible());
      await close(s);
    },
  },
  {
    name: 'sign-in: what a person chose is there at the first paint on another machine',
    run: async (browser, { binary }) => {
      // A server of its own: other checks sign in as the same person and expect English.
      const server = await new Server('prefs', binary, ['--set', 'auth.mode=required']).start();
      await server.setUp();
      const authBase = server.url;
      const s = await enter(browser, authBase, '/me');
      await s.page.getByText('Español', { exact: true }).click();
      await s.page.getByText('Alto contraste', { exact: true }).click();
      await s.page.getByText('Cómoda', { exact: true }).click();
      const dressed = () => s.page.evaluate(() => Object.values(document.documentElement.dataset).join());
      await until('the page has high contrast and room', async () => /contrast/.test(await dressed()) && /cosy/.test(await dressed()));
      const cookies = await s.context.cookies();
      await until('the server knows', () =>
        s.page.evaluate(() => fetch('/api/ui/me').then((r) => r.json()).then((me) => me.theme === 'contrast' && me.density === 'cosy' && me.language === 'es')),
      );
      const seen = [];
      const other = await open(browser, authBase, '/me', {
        prepare: async (page, context) => {
          await context.addCookies(cookies);
          await page.exposeFunction('noteTheme', (theme) => seen.push(theme));
          await page.addInitScript(() =>
            document.addEventListener('readystatechange', () =>
              window.noteTheme(
                `${document.documentElement.dataset.theme} ${document.documentElement.dataset.density} ${document.documentElement.lang}`,
              ),
            ),
          );
        },
      });
      assert(seen.length > 0 && seen.every((x) => x === 'contrast cosy es'), `seen: ${seen.join(', ')}`);
      await close(other);
      await close(s);
    },
  },
];
