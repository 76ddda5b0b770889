// SPDX-License-Identifier: Apache-2.0
import { IconCircleCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import type { HomeData } from '@/shared/api/home';
import { rememberState } from '@/shared/lastKnown';
import { useStaleSeconds } from '@/shared/live/useLiveAge';
import { formatDuration } from '@/shared/time/format';
import { Panel } from '@/shared/ui/Panel';
import { Severity, type SeverityName } from '@/shared/ui/Severity';
import { formatValue } from '@/shared/units/format';
import css from './HomePage.module.css';
import { labelGrowthQuery } from './labelGrowth';

interface Wrong {
  id: string;
  level: SeverityName;
  what: string;
  why: string;
  sinceMs: number | null;
}

const RANK: Record<string, number> = { critical: 0, major: 1, warning: 2 };

/** Labels of logs that have, or will soon have, too many values: what it means, and who sends them. */
function useGrowingLabels(): Wrong[] {
  const { t } = useTranslation('home');
  const { data } = useQuery(labelGrowthQuery);
  return (data?.labels ?? []).map((found) => {
    const { label, spilled, sender = '', values_today: count } = found;
    const shown = formatValue(count, 'count');
    const since = Date.parse(found.spilled_since ?? '');
    return {
      id: `label:${label}`,
      level: spilled ? 'warning' : 'info',
      what: t('wrong.label', { label, count, shown }),
      why: [
        spilled ? t('wrong.labelSpilled') : t('wrong.labelGrows', { limit: formatValue(data?.limit ?? 0, 'count') }),
        ...(sender === '' ? [] : [t('wrong.labelSender', { sender })]),
      ].join(' '),
      sinceMs: Number.isNaN(since) ? null : since,
    };
  });
}

/** Targets down, our own health, a stale feed: worst first. All quiet is a state of its own, with proof of life. */
export function WrongNow({ home, failed }: { home: HomeData; failed: boolean }) {
  const { t, i18n } = useTranslation('home');
  const stale = useStaleSeconds();
  const list: Wrong[] = [
    ...home.health
      .filter((h) => h.state !== 'ok')
      .map((h): Wrong => {
        const key = `health.${h.id}` as 'health.wal';
        return {
          id: `health:${h.id}`,
          level: h.state === 'critical' ? 'critical' : 'warning',
          what: i18n.exists(`home:${key}`) ? t(key) : h.id,
          why: h.message,
          sinceMs: null,
        };
      }),
    ...home.targets.down.map(
      (d): Wrong => ({
        id: `target:${d.job}/${d.instance}`,
        level: 'critical',
        what: t('wrong.target', { job: d.job, instance: d.instance }),
        why: d.lastError,
        sinceMs: d.sinceMs,
      }),
    ),
    // A limit of the tenant kept a part of this page from being asked for.
    ...home.warnings.map(
      (why): Wrong => ({ id: `limit:${why}`, level: 'warning', what: t('wrong.limits'), why, sinceMs: null }),
    ),
    ...useGrowingLabels(),
  ];
  const known = list.map(({ level, what, why }) => ({ level, what, why }));
  const current = stale === null && !failed;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each answer of the server
  useEffect(() => {
    if (current) rememberState({ atMs: Date.now(), wrong: known });
  }, [home, current]);
  if (!current)
    list.unshift({ id: 'feed', level: 'critical', what: t('wrong.feed'), why: t('wrong.feedWhy'), sinceMs: null });
  list.sort((a, b) => (RANK[a.level] ?? 9) - (RANK[b.level] ?? 9));

  if (list.length === 0) return <AllQuiet home={home} />;
  return (
    <Panel title={t('wrong.title')} aside={t('wrong.count', { count: list.length })} flush>
      <ul className={css.wrong}>
        {list.map((item) => (
          <li key={item.id}>
            <Severity level={item.level} />
            <span className={css.what}>{item.what}</span>
            <span className={css.why}>{item.why}</span>
            <span className={css.since}>
              {item.sinceMs !== null && item.sinceMs > 0
                ? t('wrong.since', { age: formatDuration((home.nowMs - item.sinceMs) / 1000) })
                : ''}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function AllQuiet({ home }: { home: HomeData }) {
  const { t } = useTranslation('home');
  return (
    <section className={css.quiet} aria-label={t('wrong.title')} data-panel="">
      <IconCircleCheck size={28} stroke={1.6} aria-hidden />
      <div>
        <p className={css.quietTitle}>{t('quiet.title')}</p>
        <p className={css.proof}>
          <span>{t('quiet.rate', { rate: formatValue(home.ingestRate, 'perSecond') })}</span>
          <span>{t('quiet.series', { count: home.activeSeries, shown: formatValue(home.activeSeries, 'count') })}</span>
          <span>{t('quiet.targets', { count: home.targets.up })}</span>
          <span>{t('quiet.uptime', { age: formatDuration(home.self.uptimeSeconds) })}</span>
        </p>
      </div>
    </section>
  );
}
