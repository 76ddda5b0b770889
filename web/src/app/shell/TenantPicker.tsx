// SPDX-License-Identifier: Apache-2.0
import { IconBuilding } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { chooseTenant, currentTenant } from '@/shared/api/tenant';
import { Dropdown } from '@/shared/ui/Dropdown';
import { MenuList } from '@/shared/ui/MenuList';
import css from './NavRail.module.css';

/** Only where there is a choice. */
export function TenantPicker() {
  const { t } = useTranslation();
  if (boot.tenants.length < 2) return null;
  return (
    <li>
      <Dropdown
        up
        label={t('tenant.choose', { tenant: currentTenant() })}
        prefix={t('tenant.title')}
        triggerClass={css.item}
        trigger={
          <>
            <IconBuilding size={18} stroke={1.7} aria-hidden />
            <span className={css.text}>{currentTenant()}</span>
          </>
        }
      >
        {() => (
          <MenuList
            label={t('tenant.title')}
            items={boot.tenants.map((name) => ({
              key: name,
              label: name,
              checked: name === currentTenant(),
              run: () => chooseTenant(name),
            }))}
          />
        )}
      </Dropdown>
    </li>
  );
}
