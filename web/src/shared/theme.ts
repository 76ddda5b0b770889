// SPDX-License-Identifier: Apache-2.0
// The active colour scheme: the person's choice, else the system's, followed live.
import tokens from '../../tokens/tokens.json';
import { prefs } from './prefs';
import { createStore } from './store';

export type Scheme = 'dark' | 'light';

const query = typeof matchMedia === 'function' ? matchMedia('(prefers-color-scheme: light)') : null;

function current(): Scheme {
  const choice = prefs.get().theme;
  if (choice !== 'system') return choice;
  return query?.matches ? 'light' : 'dark';
}

export const scheme = createStore<Scheme>(current());

function apply(): void {
  scheme.set(current());
  document.documentElement.setAttribute('data-mantine-color-scheme', scheme.get());
}

export function startTheme(): void {
  apply();
  prefs.subscribe(apply);
  query?.addEventListener('change', apply);
}

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
