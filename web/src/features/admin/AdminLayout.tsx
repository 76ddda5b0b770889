// SPDX-License-Identifier: Apache-2.0
import { Link, Outlet } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { Page } from '@/shared/ui/Page';
import css from './Admin.module.css';

const TABS = [
  { to: '/admin/about', key: 'nav.about' },
  { to: '/admin/users', key: 'nav.users' },
  { to: '/admin/tokens', key: 'nav.tokens' },
  { to: '/admin/tenants', key: 'nav.tenants' },
  { to: '/admin/audit', key: 'nav.audit' },
] as const;

export function AdminLayout() {
  const { t } = useTranslation('common');
  return (
    <Page title={t('nav.admin')}>
      <nav className={css.tabs} aria-label={t('nav.admin')}>
        {TABS.map((tab) => (
          <Link
            key={tab.to}
            to={tab.to}
            className={css.tab}
            activeProps={{ className: `${css.tab} ${css.active}` }}
            activeOptions={{ includeSearch: false }}
          >
            {t(tab.key)}
          </Link>
        ))}
      </nav>
      <Outlet />
    </Page>
  );
}
