// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { hasData, homeQuery } from '@/shared/api/home';
import { ChartPanel } from '@/shared/charts/ChartPanel';
import { hostPanels } from '@/shared/metrics/hostQueries';
import { rateInterval, stepFor } from '@/shared/time/range';
import { TimeBar } from '@/shared/time/TimeBar';
import { type TimeControls, useUrlTime } from '@/shared/time/useTime';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { Page } from '@/shared/ui/Page';
import { ChangedLately } from './ChangedLately';
import { FirstData } from './FirstData';
import css from './HomePage.module.css';
import { HostList } from './HostList';
import { LivePulse } from './LivePulse';
import { SelfTiles } from './SelfTiles';
import { WrongNow } from './WrongNow';

const DEFAULTS = { raw: { from: 'now-5m', to: 'now' }, refresh: 'live' };

export function HomePage() {
  const { t } = useTranslation('home');
  const time = useUrlTime(DEFAULTS);
  const home = useQuery(homeQuery);
  const { data } = home;
  return (
    <Page
      title={t('title')}
      aside={data ? <LivePulse home={data} /> : boot.hostname}
      actions={<TimeBar time={time} busy={home.isFetching && !time.live} />}
    >
      {!data && (
        <DataRegion
          minHeight={320}
          state={home.error ? stateOfError(home.error, () => void home.refetch()) : { kind: 'loading' }}
        />
      )}
      {data && !hasData(data) && <FirstData />}
      {data && hasData(data) && (
        <>
          <WrongNow home={data} failed={home.isError} />
          <ThisMachine instance={machineOf(data)} time={time} />
          <div className={css.columns}>
            <SelfTiles time={time} home={data} />
            <ChangedLately home={data} zone={time.zone} />
          </div>
          {data.hosts.length > 1 && <HostList hosts={data.hosts} />}
        </>
      )}
    </Page>
  );
}

/** The machine that the server runs on, else the first one known. */
function machineOf(home: { hosts: { instance: string; hostname: string }[] }): string {
  const own = home.hosts.find((h) => h.hostname === boot.hostname || h.instance === boot.hostname);
  return own?.instance ?? home.hosts[0]?.instance ?? boot.hostname;
}

function ThisMachine({ instance, time }: { instance: string; time: TimeControls }) {
  const { t } = useTranslation('common');
  const { t: th } = useTranslation('home');
  const step = stepFor(time.range.toMs - time.range.fromMs, time.live ? 600 : 320);
  const panels = hostPanels(instance, rateInterval(step, 2500), t);
  return (
    <section aria-label={th('machine', { host: instance })}>
      <h2 className={css.sectionTitle}>{th('machine', { host: instance })}</h2>
      <div className={css.grid}>
        {[panels.cpu, panels.memory, panels.diskIo, panels.network].map((panel) => (
          <ChartPanel key={panel.id} {...panel} time={time} height={168} />
        ))}
      </div>
    </section>
  );
}
