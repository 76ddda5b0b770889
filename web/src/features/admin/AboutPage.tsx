// SPDX-License-Identifier: Apache-2.0
import licences from 'virtual:licences.json';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { homeQuery } from '@/shared/api/home';
import { buildInfo, runtimeInfo, tsdbStatus } from '@/shared/api/prom';
import { prefs } from '@/shared/prefs';
import { useStore } from '@/shared/store';
import { formatDuration, formatStamp } from '@/shared/time/format';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { Panel } from '@/shared/ui/Panel';
import { Severity } from '@/shared/ui/Severity';
import { formatValue } from '@/shared/units/format';
import css from './Admin.module.css';

export function AboutPage() {
  const { t } = useTranslation('admin');
  return (
    <>
      <div className={css.three}>
        <SelfHealth />
        <Build />
        <Storage />
      </div>
      <Panel title={t('about.licences')} aside={t('about.packages', { count: licences.length })}>
        <p className={css.text}>{t('about.licencesText', { product: boot.product })}</p>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
        <ul className={css.licences} tabIndex={0} aria-label={t('about.licences')}>
          {licences.map((p) => (
            <li key={p.name}>
              <span>
                {p.name} {p.version}
              </span>
              <span>{p.licence}</span>
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}

function Build() {
  const { t } = useTranslation('admin');
  const { timezone } = useStore(prefs);
  const build = useQuery({ queryKey: ['buildinfo'], queryFn: ({ signal }) => buildInfo(signal) });
  const rows: [string, string][] = [
    [t('about.version'), `${boot.product} ${boot.version}`],
    [t('about.revision'), boot.revision],
    [t('about.prom'), boot.promVersion || build.data?.version || ''],
    [t('about.host'), boot.hostname],
    [t('about.started'), boot.startTimeMs ? formatStamp(boot.startTimeMs, timezone) : ''],
    [t('about.auth'), t(`about.auth.${boot.authMode}`)],
  ];
  return (
    <Panel title={t('about.build')}>
      <dl className={css.facts}>
        {rows
          .filter(([, value]) => value !== '')
          .map(([name, value]) => (
            <FactRow key={name} name={name} value={value} />
          ))}
      </dl>
    </Panel>
  );
}

function FactRow({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

function SelfHealth() {
  const { t, i18n } = useTranslation('admin');
  const home = useQuery(homeQuery);
  const items = home.data?.health ?? [];
  return (
    <Panel
      title={t('about.health')}
      aside={home.data ? t('about.up', { age: formatDuration(home.data.self.uptimeSeconds) }) : undefined}
    >
      <DataRegion
        minHeight={120}
        state={
          home.data
            ? items.length > 0
              ? { kind: 'ready' }
              : { kind: 'empty', why: t('about.healthNone') }
            : home.error
              ? stateOfError(home.error, () => void home.refetch())
              : { kind: 'loading' }
        }
      >
        <ul className={css.health}>
          {items.map((item) => {
            const key = `health.${item.id}` as 'health.wal';
            return (
              <li key={item.id}>
                <Severity level={item.state} />
                <span>{i18n.exists(`admin:${key}`) ? t(key) : item.id}</span>
                <span className={css.text}>{item.message}</span>
              </li>
            );
          })}
        </ul>
      </DataRegion>
    </Panel>
  );
}

function Storage() {
  const { t } = useTranslation('admin');
  const { timezone } = useStore(prefs);
  const tsdb = useQuery({ queryKey: ['tsdb', 10], queryFn: ({ signal }) => tsdbStatus(10, signal) });
  const runtime = useQuery({ queryKey: ['runtimeinfo'], queryFn: ({ signal }) => runtimeInfo(signal) });
  const head = tsdb.data?.headStats;
  const count = (value: number | undefined) => (value === undefined ? '–' : formatValue(value, 'count'));
  return (
    <Panel title={t('about.storage')}>
      <DataRegion
        minHeight={120}
        state={
          tsdb.data
            ? { kind: 'ready' }
            : tsdb.error
              ? stateOfError(tsdb.error, () => void tsdb.refetch())
              : { kind: 'loading' }
        }
      >
        <dl className={css.facts}>
          <FactRow name={t('about.series')} value={count(head?.numSeries)} />
          <FactRow name={t('about.chunks')} value={count(head?.chunkCount)} />
          <FactRow name={t('about.labelPairs')} value={count(head?.numLabelPairs)} />
          <FactRow
            name={t('about.oldest')}
            value={head?.minTime && head.minTime > 0 ? formatStamp(head.minTime, timezone) : '–'}
          />
          <FactRow name={t('about.retention')} value={String(runtime.data?.storageRetention ?? '–')} />
        </dl>
      </DataRegion>
    </Panel>
  );
}
