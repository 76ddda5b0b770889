// SPDX-License-Identifier: Apache-2.0
import { IconKeyboard, IconSearch } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { FOOT_ITEMS, NAV_ITEMS } from './items';
import css from './NavRail.module.css';
import { TenantPicker } from './TenantPicker';

interface Props {
  onSearch: () => void;
  onShortcuts: () => void;
}

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" className={css.logo}>
      <rect width="32" height="32" rx="7" />
      <path d="M6 19.5h4.2l3-9 4.6 13 3-8.5 1.6 4.5H26" />
    </svg>
  );
}

export function NavRail({ onSearch, onShortcuts }: Props) {
  const { t } = useTranslation();
  const item = (entry: (typeof NAV_ITEMS)[number] | (typeof FOOT_ITEMS)[number]) => (
    <li key={entry.to}>
      <Link
        to={entry.to as '/'}
        className={css.item}
        activeProps={{ className: `${css.item} ${css.active}` }}
        activeOptions={{ exact: entry.exact, includeSearch: false }}
        title={`${t(entry.key)} (${entry.keys})`}
      >
        <entry.icon size={18} stroke={1.7} aria-hidden />
        <span className={css.text}>{t(entry.key)}</span>
      </Link>
    </li>
  );
  return (
    <nav className={css.rail} aria-label={t('nav.main')}>
      <Link to="/" className={css.brand} title={t('nav.brand', { product: boot.product })}>
        <Logo />
        <span className={css.text}>{boot.product}</span>
      </Link>
      <button type="button" className={css.search} onClick={onSearch} title={t('palette.open')}>
        <IconSearch size={16} aria-hidden />
        <span className={css.text}>{t('palette.short')}</span> <kbd className={css.text}>{t('palette.keys')}</kbd>
      </button>
      <ul className={css.list}>{NAV_ITEMS.map(item)}</ul>
      <ul className={`${css.list} ${css.foot}`}>
        <TenantPicker />
        {FOOT_ITEMS.map(item)}
        <li>
          <button type="button" className={css.item} onClick={onShortcuts} title={`${t('keys.title')} (?)`}>
            <IconKeyboard size={18} stroke={1.7} aria-hidden />
            <span className={css.text}>{t('keys.title')}</span>
          </button>
        </li>
      </ul>
    </nav>
  );
}
