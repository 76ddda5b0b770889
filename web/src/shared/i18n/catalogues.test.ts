// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import same from './sameInBoth.json';

type Catalogue = Record<string, string>;
const files = import.meta.glob<Catalogue>(
  ['../../features/*/i18n/*.json', '../../app/offline/*.json', './catalogue/*.json'],
  {
    eager: true,
    import: 'default',
  },
);
const sources = import.meta.glob<string>(['../../**/*.ts', '../../**/*.tsx'], {
  eager: true,
  query: '?raw',
  import: 'default',
});

/** Words that are the same in both languages; the browser checks read the same list. */
const SAME = new Set(same.texts);
const SAME_KEYS = new Set(same.keys);

function pairs() {
  const out = new Map<string, { en: Catalogue; es: Catalogue }>();
  for (const [path, catalogue] of Object.entries(files)) {
    const match = /(.*)\/(en|es)\.json$/.exec(path);
    if (!match) continue;
    const entry = out.get(match[1] as string) ?? { en: {}, es: {} };
    entry[match[2] as 'en' | 'es'] = catalogue;
    out.set(match[1] as string, entry);
  }
  return [...out];
}

const placeholders = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((m) => m[1]).sort();
const PLURAL = /_(one|many|other)$/;

describe.each(pairs())('%s', (_name, { en, es }) => {
  const plain = (c: Catalogue) =>
    Object.keys(c)
      .filter((k) => !PLURAL.test(k))
      .sort();
  const stems = (c: Catalogue) =>
    [
      ...new Set(
        Object.keys(c)
          .filter((k) => PLURAL.test(k))
          .map((k) => k.replace(PLURAL, '')),
      ),
    ].sort();

  it('has every key in both languages', () => {
    expect(Object.keys(en).length).toBeGreaterThan(0);
    expect(plain(es)).toEqual(plain(en));
    expect(stems(es)).toEqual(stems(en));
  });

  it('has every plural form that the language uses', () => {
    for (const [language, catalogue] of [
      ['en', en],
      ['es', es],
    ] as const)
      for (const form of new Intl.PluralRules(language).resolvedOptions().pluralCategories)
        for (const stem of stems(catalogue))
          expect(catalogue, `${language} ${stem}`).toHaveProperty([`${stem}_${form}`]);
  });

  it('keeps placeholders and translates, not echoes', () => {
    for (const [key, text] of Object.entries(en)) {
      const other = es[key] as string;
      expect(other?.trim(), key).toBeTruthy();
      expect(placeholders(other), key).toEqual(placeholders(text));
      if (!SAME.has(text) && !SAME_KEYS.has(key)) expect(other, `${key} is an echo`).not.toBe(text);
    }
  });
});

describe('use of keys', () => {
  const code = Object.entries(sources)
    .filter(([path]) => !path.includes('.test.'))
    .map(([, text]) => text)
    .join('\n');
  const prefixes = [...code.matchAll(/[`']([\w.]+[._])\$\{/g)].map((m) => m[1] as string);

  it('has no key that nothing shows', () => {
    const unused: string[] = [];
    for (const [name, { en }] of pairs())
      for (const key of Object.keys(en)) {
        const stem = key.replace(PLURAL, '');
        const used =
          code.includes(`'${stem}'`) || code.includes(`"${stem}"`) || prefixes.some((p) => stem.startsWith(p));
        if (!used) unused.push(`${name}: ${key}`);
      }
    expect(unused).toEqual([]);
  });
});
