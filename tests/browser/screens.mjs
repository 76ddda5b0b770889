// SPDX-License-Identifier: Apache-2.0
// Thirty pictures for people to look at: run.mjs --screens DIR.
import { until } from './lib.mjs';
import { arrive, pageList } from './pages.mjs';

/** Page, theme, width, and what else matters. */
const SHOTS = [
  ['home', 'dark', 1440],
  ['home', 'light', 1440],
  ['home', 'contrast', 1440],
  ['home', 'dark', 390],
  ['home', 'light', 390],
  ['home', 'dark', 1440, { density: 'cosy', language: 'es' }],
  ['explore', 'dark', 1440],
  ['explore', 'light', 1440],
  ['explore', 'contrast', 1440],
  ['explore', 'light', 390],
  ['explore-table', 'dark', 1440],
  ['explore-explain', 'dark', 1440],
  ['explore-empty', 'dark', 1440],
  ['hosts', 'dark', 1440],
  ['hosts', 'light', 390],
  ['host', 'dark', 1440],
  ['host', 'light', 1440],
  ['host', 'dark', 390],
  ['admin-about', 'light', 1440],
  ['admin-users', 'dark', 1440],
  ['admin-tokens', 'dark', 390],
  ['admin-tenants', 'contrast', 1440],
  ['admin-audit', 'light', 1440],
  ['profile', 'dark', 1440],
  ['profile', 'light', 390],
  ['sign-in', 'dark', 1440],
  ['time-picker', 'dark', 1440],
  ['time-picker', 'light', 390],
  ['palette', 'dark', 1440],
  ['user-dialog', 'light', 1440],
];

export async function screens(browser, { base }, instance, dir) {
  const pages = new Map(pageList(instance).map((entry) => [entry.name, entry]));
  for (const [index, [name, theme, width, extra = {}]] of SHOTS.entries()) {
    const { language = 'en', density } = extra;
    const prefs = { theme, language, ...(density ? { density } : {}) };
    const s = await arrive(browser, base, pages.get(name), { theme: theme === 'light' ? 'light' : 'dark', width, language, prefs });
    await until('its theme', () => s.page.evaluate((t) => document.documentElement.dataset.theme === t, theme));
    const file = [String(index + 1).padStart(2, '0'), name, theme, width, density, extra.language].filter(Boolean);
    await s.page.screenshot({ path: `${dir}/${file.join('-')}.png` });
    await s.context.close();
  }
}
