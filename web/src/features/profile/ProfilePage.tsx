// SPDX-License-Identifier: Apache-2.0
import '@mantine/core/styles/Input.css';
import '@mantine/core/styles/InlineInput.css';
import '@mantine/core/styles/Switch.css';
import { Switch } from '@mantine/core';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { request } from '@/shared/api/request';
import {
  adoptServerPrefs,
  type Density,
  type Language,
  type Prefs,
  prefs,
  savePrefs,
  type ThemeChoice,
} from '@/shared/prefs';
import { useStore } from '@/shared/store';
import { formatClock } from '@/shared/time/format';
import { ZoneSelect } from '@/shared/time/ZoneSelect';
import { Choice } from '@/shared/ui/Choice';
import { Page } from '@/shared/ui/Page';
import { Panel } from '@/shared/ui/Panel';
import { Account } from './Account';
import css from './ProfilePage.module.css';

export function ProfilePage() {
  const { t } = useTranslation('profile');
  const current = useStore(prefs);
  useEffect(() => {
    if (boot.user) void request<Partial<Prefs>>('/api/ui/me').then(adoptServerPrefs, () => undefined);
  }, []);
  const sample = Date.UTC(2026, 10, 24, 21, 5, 9);
  return (
    <Page title={t('title')} aside={boot.user ? boot.user.login : t('anonymous')}>
      <div className={css.columns}>
        <Panel title={t('look')}>
          <div className={css.fields}>
            <Choice<ThemeChoice>
              label={t('theme')}
              value={current.theme}
              onChange={(theme) => savePrefs({ theme })}
              options={[
                { value: 'system', label: t('theme.system') },
                { value: 'dark', label: t('theme.dark') },
                { value: 'light', label: t('theme.light') },
                { value: 'contrast', label: t('theme.contrast') },
              ]}
            />
            <Choice<Density>
              label={t('density')}
              value={current.density}
              onChange={(density) => savePrefs({ density })}
              options={[
                { value: 'compact', label: t('density.compact') },
                { value: 'cosy', label: t('density.cosy') },
              ]}
              {...(boot.user ? { hint: t('density.hint') } : {})}
            />
            <Choice<Language>
              label={t('language')}
              value={current.language}
              onChange={(language) => savePrefs({ language })}
              options={[
                { value: 'en', label: t('language.en') },
                { value: 'es', label: t('language.es') },
              ]}
            />
          </div>
        </Panel>
        <Panel title={t('time')}>
          <div className={css.fields}>
            <ZoneSelect value={current.timezone} onChange={(timezone) => savePrefs({ timezone })} />
            <Choice<'auto' | '24' | '12'>
              label={t('clock')}
              value={current.hour12 === null ? 'auto' : current.hour12 ? '12' : '24'}
              onChange={(value) => savePrefs({ hour12: value === 'auto' ? null : value === '12' })}
              options={[
                { value: 'auto', label: t('clock.auto') },
                { value: '24', label: t('clock.24') },
                { value: '12', label: t('clock.12') },
              ]}
              hint={t('clock.example', { time: formatClock(sample, current.timezone) })}
            />
            <Choice<string>
              label={t('weekStart')}
              value={current.weekStart === null ? 'auto' : String(current.weekStart)}
              onChange={(value) => savePrefs({ weekStart: value === 'auto' ? null : Number(value) })}
              options={[
                { value: 'auto', label: t('clock.auto') },
                { value: '1', label: t('weekStart.monday') },
                { value: '0', label: t('weekStart.sunday') },
                { value: '6', label: t('weekStart.saturday') },
              ]}
            />
          </div>
        </Panel>
        <Panel title={t('keyboard')}>
          <div className={css.fields}>
            <Switch
              withThumbIndicator={false}
              checked={current.singleKeys}
              onChange={(event) => savePrefs({ singleKeys: event.currentTarget.checked })}
              label={t('singleKeys')}
              description={t('singleKeysText')}
            />
          </div>
        </Panel>
        <Account />
      </div>
    </Page>
  );
}
