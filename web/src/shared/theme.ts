// SPDX-License-Identifier: Apache-2.0
// The active colour scheme: the person's choice, else the system's, followed live.
import tokens from '../../tokens/tokens.json';
import { prefs } from './prefs';
import { dress, type Scheme, schemeOf } from './prefsModel';
import { createStore } from './store';

export type { Scheme } from './prefsModel';

const media = typeof matchMedia === 'function' ? matchMedia : null;
const current = (): Scheme => schemeOf(prefs.get().theme, (query) => media?.(query).matches ?? false);

export const scheme = createStore<Scheme>(current());

function apply(): void {
  scheme.set(current());
  dress(document.documentElement, scheme.get(), prefs.get());
}

export function startTheme(): void {
  apply();
  prefs.subscribe(apply);
  for (const query of ['(prefers-color-scheme: light)', '(prefers-contrast: more)'])
    media?.(query).addEventListener('change', apply);
}

/** Mantine knows two schemes; high contrast is drawn on its dark one. */
export const mantineScheme = (name: Scheme): 'dark' | 'light' => (name === 'light' ? 'light' : 'dark');

export type ThemeTokens = (typeof tokens)['themes']['dark'];

export function themeTokens(name: Scheme = scheme.get()): ThemeTokens {
  return tokens.themes[name];
}

/** tocayo-12 in the active theme. Beyond twelve the colours repeat with a dash. */
export function seriesColour(index: number, name: Scheme = scheme.get()): string {
  if (index < 0) return tokens.themes[name].component.rest;
  const list = tokens.themes[name].series;
  return list[index % list.length] as string;
}

export function seriesDash(index: number): number[] | undefined {
  if (index < 0) return undefined;
  const round = Math.floor(index / 12) % 4;
  return [undefined, [6, 3], [2, 3], [8, 3, 2, 3]][round];
}
