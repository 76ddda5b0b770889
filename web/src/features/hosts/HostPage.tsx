// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { homeQuery } from '@/shared/api/home';
import { ChartPanel } from '@/shared/charts/ChartPanel';
import { type HostPanelName, hostPanels } from '@/shared/metrics/hostQueries';
import { rateInterval, stepFor } from '@/shared/time/range';
import { TimeBar } from '@/shared/time/TimeBar';
import { useUrlTime } from '@/shared/time/useTime';
import { Meter } from '@/shared/ui/Meter';
import { Page } from '@/shared/ui/Page';
import css from './HostPage.module.css';

const DEFAULTS = { raw: { from: 'now-15m', to: 'now' }, refresh: 'live' };

const GROUPS: { key: 'group.compute' | 'group.storage' | 'group.network' | 'group.system'; panels: HostPanelName[] }[] =
  [
    { key: 'group.compute', panels: ['cpu', 'memory', 'load', 'swap'] },
    { key: 'group.storage', panels: ['diskSpace', 'diskIo', 'diskBusy', 'inodes'] },
    { key: 'group.network', panels: ['network', 'networkErrors'] },
    { key: 'group.system', panels: ['switches', 'processes'] },
  ];

/** Everything about one machine, charted with no set-up. */
export function HostPage() {
  const { t } = useTranslation('hosts');
  const { t: tc } = useTranslation('common');
  const { instance } = useParams({ strict: false }) as { instance: string };
  const time = useUrlTime(DEFAULTS);
  const home = useQuery(homeQuery);
  const host = home.data?.hosts.find((h) => h.instance === instance);
  const step = stepFor(time.range.toMs - time.range.fromMs, time.live ? 600 : 320);
  const panels = hostPanels(instance, rateInterval(step, 2500), tc);
  return (
    <Page
      title={host?.hostname || instance}
      aside={host ? `${host.os} · ${host.job}` : undefined}
      actions={<TimeBar time={time} />}
    >
      {host && (
        <dl className={css.facts}>
          {(['cpu', 'memory', 'disk'] as const).map((name) => (
            <div key={name}>
              <dt>{tc(`host.${name}`)}</dt>
              <dd>
                <Meter value={host[name]} label={tc(`host.${name}`)} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {GROUPS.map((group) => (
        <section key={group.key} aria-label={t(group.key)}>
          <h2 className={css.group}>{t(group.key)}</h2>
          <div className={css.grid}>
            {group.panels.map((name) => (
              <ChartPanel key={name} {...panels[name]} time={time} height={176} />
            ))}
          </div>
        </section>
      ))}
    </Page>
  );
}
