// SPDX-License-Identifier: Apache-2.0
// What this person chose. Kept in this browser, and on the server too when someone is signed in.
import { boot } from './api/boot';
import { request } from './api/request';
import { PREFS_KEY, type Prefs, resolvePrefs, withServer } from './prefsModel';
import { createStore } from './store';

export type { Density, Language, Prefs, ThemeChoice } from './prefsModel';

function stored(): string | null {
  try {
    return localStorage.getItem(PREFS_KEY);
  } catch {
    return null;
  }
}

export const prefs = createStore<Prefs>(
  resolvePrefs({
    stored: stored(),
    server: boot.user?.prefs,
    search: location.search,
    browserLanguage: navigator.language ?? '',
  }),
);

export function savePrefs(change: Partial<Prefs>): void {
  prefs.set((previous) => ({ ...previous, ...change }));
  try {
    localStorage.setItem(PREFS_KEY, JSON.stringify(prefs.get()));
  } catch {
    // Private mode: kept for this page only.
  }
  const { singleKeys: _keys, ...server } = change;
  if (boot.user && Object.keys(server).length > 0)
    void request('/api/ui/me', { method: 'PUT', json: server }).catch(() => undefined);
}

/** A signed-in person's choices on the server win over this browser's. */
export function adoptServerPrefs(me: Partial<Prefs>): void {
  prefs.set((previous) => withServer(previous, me));
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
