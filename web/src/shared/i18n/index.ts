// SPDX-License-Identifier: Apache-2.0
// One catalogue per feature and language, fetched with the route that needs it.
import i18next, { type BackendModule } from 'i18next';
import { initReactI18next } from 'react-i18next';
import { loadChunk } from '../api/chunks';
import { prefs } from '../prefs';

type Loader = () => Promise<{ default: Record<string, string> }>;

const catalogues = import.meta.glob<{ default: Record<string, string> }>([
  '../../features/*/i18n/*.json',
  './catalogue/*.json',
]);

/** `?pseudo`: texts are made longer and accented, to find what does not fit. */
const PSEUDO = new URLSearchParams(location.search).has('pseudo');

const loaders = new Map<string, Loader>();
for (const [path, loader] of Object.entries(catalogues)) {
  const match = /features\/([^/]+)\/i18n\/(\w+)\.json$/.exec(path) ?? /(catalogue)\/(\w+)\.json$/.exec(path);
  if (match) loaders.set(`${match[2]}/${match[1] === 'catalogue' ? 'common' : match[1]}`, loader);
}

const backend: BackendModule = {
  type: 'backend',
  init: () => undefined,
  read(language, namespace, done) {
    const loader = loaders.get(`${language}/${namespace}`);
    if (!loader) done(new Error(`no catalogue ${language}/${namespace}`), null);
    else
      loadChunk(loader).then(
        async (module) =>
          done(null, PSEUDO ? (await import('./pseudo')).pseudoCatalogue(module.default) : module.default),
        (error: unknown) => done(error as Error, null),
      );
  },
};

export const i18n = i18next;

export async function startI18n(): Promise<void> {
  const { language } = prefs.get();
  await i18next
    .use(backend)
    .use(initReactI18next)
    .init({
      lng: language,
      fallbackLng: false,
      supportedLngs: ['en', 'es'],
      ns: ['common'],
      defaultNS: 'common',
      keySeparator: false,
      nsSeparator: ':',
      interpolation: { escapeValue: false },
      // A text that is not there is a mistake of ours, and every check of the page in a browser looks at the console.
      saveMissing: true,
      missingKeyHandler: (_languages, namespace, key) => console.error(`no text for ${namespace}:${key}`),
      react: { useSuspense: false },
    });
  // What was asked for last, not what is shown: a change back must also overtake one that is still being loaded.
  let asked = language;
  prefs.subscribe(() => {
    const wanted = prefs.get().language;
    if (wanted === asked) return;
    asked = wanted;
    void i18next.changeLanguage(wanted);
  });
}

export function loadCatalogues(...namespaces: string[]): Promise<void> {
  return i18next.loadNamespaces(namespaces);
}
