// SPDX-License-Identifier: Apache-2.0
// What this person chose. Kept in this browser, and on the server too when someone is signed in.
import { boot } from './api/boot';
import { request } from './api/request';
import { createStore } from './store';

export type Language = 'en' | 'es';
export type ThemeChoice = 'system' | 'dark' | 'light';

export interface Prefs {
  language: Language;
  theme: ThemeChoice;
  timezone: string;
  hour12: boolean | null;
  weekStart: number | null;
  singleKeys: boolean;
}

const KEY = 'tocayo.prefs';

function systemLanguage(): Language {
  return navigator.language?.toLowerCase().startsWith('es') ? 'es' : 'en';
}

function load(): Prefs {
  const defaults: Prefs = {
    language: systemLanguage(),
    theme: 'system',
    timezone: 'browser',
    hour12: null,
    weekStart: null,
    singleKeys: true,
  };
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Prefs>;
    const merged = { ...defaults, ...stored };
    if (merged.language !== 'es' && merged.language !== 'en') merged.language = defaults.language;
    if (!['system', 'dark', 'light'].includes(merged.theme)) merged.theme = 'system';
    const asked = new URLSearchParams(location.search).get('theme');
    if (asked === 'dark' || asked === 'light') merged.theme = asked;
    return merged;
  } catch {
    return defaults;
  }
}

export const prefs = createStore<Prefs>(load());

export function savePrefs(change: Partial<Prefs>): void {
  prefs.set((previous) => ({ ...previous, ...change }));
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs.get()));
  } catch {
    // Private mode: kept for this page only.
  }
  const { singleKeys: _local, ...server } = change;
  if (boot.user && Object.keys(server).length > 0)
    void request('/api/ui/me', { method: 'PUT', json: server }).catch(() => undefined);
}

/** A signed-in person's choices on the server win over this browser's. */
export function adoptServerPrefs(me: Partial<Prefs>): void {
  const known = Object.fromEntries(
    Object.entries(me).filter(([key, value]) => key in prefs.get() && value !== undefined && value !== ''),
  );
  prefs.set((previous) => ({ ...previous, ...known }));
}

export function effectiveWeekStart(): number {
  return prefs.get().weekStart ?? localeWeekStart();
}

/** The browser locale's first day of the week; Monday where the browser cannot say. */
function localeWeekStart(): number {
  const locale = new Intl.Locale(navigator.language || 'en') as Intl.Locale & {
    getWeekInfo?: () => { firstDay: number };
  };
  return (locale.getWeekInfo?.().firstDay ?? 1) % 7;
}
