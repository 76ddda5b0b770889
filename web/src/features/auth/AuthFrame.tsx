// SPDX-License-Identifier: Apache-2.0
import { type ReactNode, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { prefs, savePrefs } from '@/shared/prefs';
import { useStore } from '@/shared/store';
import css from './AuthFrame.module.css';

export function AuthFrame({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useTranslation('auth');
  const { language } = useStore(prefs);
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <main className={css.frame}>
      <div className={css.card}>
        <svg viewBox="0 0 32 32" width="40" height="40" aria-hidden="true" className={css.logo}>
          <rect width="32" height="32" rx="7" />
          <path d="M6 19.5h4.2l3-9 4.6 13 3-8.5 1.6 4.5H26" />
        </svg>
        <h1>{title}</h1>
        {children}
      </div>
      <p className={css.foot} data-differs>
        <span>{boot.hostname}</span>
        <button type="button" onClick={() => savePrefs({ language: language === 'en' ? 'es' : 'en' })}>
          {t('otherLanguage')}
        </button>
      </p>
    </main>
  );
}
