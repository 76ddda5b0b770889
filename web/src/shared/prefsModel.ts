// SPDX-License-Identifier: Apache-2.0
// What a person can choose, and which choice wins. Pure: the script that runs before the first paint uses it too.

export type Language = 'en' | 'es';
export type Scheme = 'dark' | 'light' | 'contrast';
export type ThemeChoice = 'system' | Scheme;
export type Density = 'compact' | 'cosy';

export interface Prefs {
  language: Language;
  theme: ThemeChoice;
  density: Density;
  timezone: string;
  hour12: boolean | null;
  weekStart: number | null;
  singleKeys: boolean;
}

export const PREFS_KEY = 'tocayo.prefs';
const SCHEMES: readonly unknown[] = ['dark', 'light', 'contrast'];
/** Kept in this browser only: it depends on the keyboard at hand. */
const LOCAL: readonly string[] = ['singleKeys'];

export interface Sources {
  /** What this browser kept, as text. */
  stored: string | null;
  /** The signed-in person's choices on the server. */
  server: object | null | undefined;
  /** The address's query. */
  search: string;
  /** The browser's language. */
  browserLanguage: string;
}

function objectOf(text: string | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    return value && typeof value === 'object' ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const isSet = (value: unknown) => value !== undefined && value !== null && value !== '';

/** The server's choices over this browser's. */
export function withServer(own: Prefs, server: object): Prefs {
  const known = Object.entries(server).filter(([key, value]) => key in own && !LOCAL.includes(key) && isSet(value));
  return checked({ ...own, ...Object.fromEntries(known) });
}

/** Unknown values become the default: a page from another version may have written them. */
function checked(prefs: Prefs): Prefs {
  return {
    ...prefs,
    language: prefs.language === 'es' ? 'es' : 'en',
    theme: SCHEMES.includes(prefs.theme) ? prefs.theme : 'system',
    density: prefs.density === 'cosy' ? 'cosy' : 'compact',
    singleKeys: prefs.singleKeys !== false,
  };
}

/** The address over the server over this browser over the system. */
export function resolvePrefs({ stored, server, search, browserLanguage }: Sources): Prefs {
  const defaults: Prefs = {
    language: browserLanguage.toLowerCase().startsWith('es') ? 'es' : 'en',
    theme: 'system',
    density: 'compact',
    timezone: 'browser',
    hour12: null,
    weekStart: null,
    singleKeys: true,
  };
  const kept = objectOf(stored);
  const own = checked({ ...defaults, ...kept, language: (kept.language ?? defaults.language) as Language });
  const merged = server ? withServer(own, server) : own;
  const asked = new URLSearchParams(search).get('theme');
  return SCHEMES.includes(asked) ? { ...merged, theme: asked as Scheme } : merged;
}

/** `matches` asks a media query. */
export function schemeOf(choice: ThemeChoice, matches: (query: string) => boolean): Scheme {
  if (choice !== 'system') return choice;
  if (matches('(prefers-contrast: more)')) return 'contrast';
  return matches('(prefers-color-scheme: light)') ? 'light' : 'dark';
}

/** The attributes that the style sheets hang on. Mantine knows two schemes; our tokens hang on `data-theme`. */
export function dress(root: HTMLElement, scheme: Scheme, prefs: Pick<Prefs, 'density' | 'language'>): void {
  root.setAttribute('data-theme', scheme);
  root.setAttribute('data-mantine-color-scheme', scheme === 'light' ? 'light' : 'dark');
  root.setAttribute('data-density', prefs.density);
  root.lang = prefs.language;
}
