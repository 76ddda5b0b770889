// SPDX-License-Identifier: Apache-2.0
// A classic script in the head, before any style sheet: theme, density and language are right when the first pixel is
// drawn. Bundled by itself (vite.config.ts), as the page's policy allows no inline script.
import { dress, PREFS_KEY, resolvePrefs, schemeOf } from '../shared/prefsModel';

let stored: string | null = null;
let server: object | null = null;
try {
  stored = localStorage.getItem(PREFS_KEY);
} catch {
  // Private mode.
}
try {
  server = JSON.parse(document.getElementById('boot')?.textContent ?? '').user?.prefs ?? null;
} catch {
  // No boot data: the page itself says what is the matter.
}
const prefs = resolvePrefs({ stored, server, search: location.search, browserLanguage: navigator.language ?? '' });
dress(
  document.documentElement,
  schemeOf(prefs.theme, (query) => matchMedia(query).matches),
  prefs,
);
