// SPDX-License-Identifier: Apache-2.0
// What the palette can do without asking the server: pages and actions, matched with forgiveness for typing.
import type { TFunction } from 'i18next';
import { boot } from '@/shared/api/boot';
import { request } from '@/shared/api/request';
import { forgetState } from '@/shared/lastKnown';
import { prefs, savePrefs } from '@/shared/prefs';
import { rangeLabel } from '@/shared/time/label';
import { parseFreeText } from '@/shared/time/parse';
import { absolute, resolveRange } from '@/shared/time/range';
import { mathContext } from '@/shared/time/useTime';

export interface Command {
  id: string;
  kind: 'page' | 'action' | 'metric' | 'host' | 'label_value';
  title: string;
  subtitle?: string;
  keys?: string;
  run: () => void;
}

export interface CommandContext {
  t: TFunction<'common'>;
  go: (path: string, search?: Record<string, string>) => void;
  setTime: (from: string, to: string) => void;
  shortcuts: () => void;
}

export function staticCommands({ t, go, shortcuts }: CommandContext): Command[] {
  const page = (id: string, title: string, path: string, keys?: string): Command => ({
    id: `page:${id}`,
    kind: 'page',
    title,
    ...(keys ? { keys } : {}),
    run: () => go(path),
  });
  const action = (id: string, title: string, run: () => void): Command => ({
    id: `action:${id}`,
    kind: 'action',
    title,
    run,
  });
  return [
    page('home', t('nav.home'), '/', 'g h'),
    page('explore', t('nav.explore'), '/explore', 'g e'),
    page('hosts', t('nav.hosts'), '/hosts', 'g s'),
    page('about', t('nav.about'), '/admin/about', 'g m'),
    page('users', t('nav.users'), '/admin/users'),
    page('tokens', t('nav.tokens'), '/admin/tokens'),
    page('tenants', t('nav.tenants'), '/admin/tenants'),
    page('audit', t('nav.audit'), '/admin/audit'),
    page('me', t('nav.profile'), '/me', 'g p'),
    action('dark', t('command.themeDark'), () => savePrefs({ theme: 'dark' })),
    action('light', t('command.themeLight'), () => savePrefs({ theme: 'light' })),
    action('contrast', t('command.themeContrast'), () => savePrefs({ theme: 'contrast' })),
    action('system', t('command.themeSystem'), () => savePrefs({ theme: 'system' })),
    prefs.get().language === 'es'
      ? action('language', t('command.languageOther'), () => savePrefs({ language: 'en' }))
      : action('language', t('command.languageOther'), () => savePrefs({ language: 'es' })),
    action('keys', t('keys.title'), shortcuts),
    ...(boot.user
      ? [
          action('logout', t('command.logout'), () => {
            void request('/api/ui/logout', { method: 'POST' })
              .catch(() => undefined)
              .then(() => {
                forgetState();
                location.assign(`${boot.basePath}/login`);
              });
          }),
        ]
      : []),
  ];
}

/** Letters in order, beginnings of words first, one wrong or missing letter forgiven in longer words. 0 is no match. */
export function score(needle: string, title: string): number {
  const n = fold(needle);
  const text = fold(title);
  if (n === '') return 1;
  if (text.startsWith(n)) return 100;
  const word = text.split(/[\s_/:.-]+/).some((w) => w.startsWith(n));
  if (word) return 80;
  if (text.includes(n)) return 60;
  if (inOrder(n, text)) return 30;
  if (n.length >= 4)
    for (let skip = 0; skip < n.length; skip++) if (text.includes(n.slice(0, skip) + n.slice(skip + 1))) return 15;
  return 0;
}

const fold = (text: string) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

function inOrder(needle: string, text: string): boolean {
  let at = 0;
  for (const letter of needle) {
    at = text.indexOf(letter, at);
    if (at < 0) return false;
    at += 1;
  }
  return true;
}

/** `go to time 2026-11-22 10:00`, `2h`, `yesterday`: a range typed into the palette. */
export function timeCommand(text: string, { t, setTime }: CommandContext): Command | null {
  const bare = text.replace(/^(go to time|ir a la hora|time|tiempo)\s+/i, '').trim();
  const context = mathContext(prefs.get().timezone);
  const range = parseFreeText(bare, context);
  const resolved = range && resolveRange(range, context);
  if (!range || !resolved) return null;
  const label = rangeLabel(range, resolved, prefs.get().timezone, t);
  const fixed = range.from.startsWith('now') ? range : absolute(resolved);
  return {
    id: 'action:time',
    kind: 'action',
    title: t('command.goToTime', { range: label }),
    run: () => setTime(fixed.from, fixed.to),
  };
}
