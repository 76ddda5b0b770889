// SPDX-License-Identifier: Apache-2.0
import { IconSearch } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import css from './BottomBar.module.css';
import { FOOT_ITEMS, NAV_ITEMS } from './items';

/** Navigation within a thumb's reach on phones. */
export function BottomBar({ onSearch }: { onSearch: () => void }) {
  const { t } = useTranslation();
  return (
    <nav className={css.bar} aria-label={t('nav.main')}>
      {[...NAV_ITEMS, ...FOOT_ITEMS].map((entry) => (
        <Link
          key={entry.to}
          to={entry.to as '/'}
          className={css.item}
          activeProps={{ className: `${css.item} ${css.active}` }}
          activeOptions={{ exact: entry.exact, includeSearch: false }}
        >
          <entry.icon size={20} stroke={1.7} aria-hidden />
          <span>{t(entry.key)}</span>
        </Link>
      ))}
      <button type="button" className={css.item} onClick={onSearch}>
        <IconSearch size={20} stroke={1.7} aria-hidden />
        <span>{t('palette.short')}</span>
      </button>
    </nav>
  );
}
