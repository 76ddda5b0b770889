// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { seriesOf } from '@/shared/api/prom';
import type { NameSlice } from '@/shared/frames/names';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { formatValue } from '@/shared/units/format';
import css from './Explore.module.css';
import { suggestion } from './metricHelp';

/** One metric: what it is, how to query it, and which labels its series have. */
export function MetricDetail({ metric, onPick }: { metric: NameSlice | null; onPick: (expr: string) => void }) {
  const { t } = useTranslation('explore');
  const name = metric?.name ?? null;
  const series = useQuery({
    queryKey: ['series', name],
    queryFn: ({ signal }) => seriesOf(name ?? '', 2000, signal),
    enabled: name !== null,
    staleTime: 30_000,
  });
  const labels = useMemo(() => {
    const found = new Map<string, Set<string>>();
    for (const row of series.data ?? [])
      for (const [key, value] of Object.entries(row)) {
        if (key === '__name__') continue;
        const set = found.get(key) ?? new Set();
        set.add(value);
        found.set(key, set);
      }
    return [...found].sort((a, b) => b[1].size - a[1].size);
  }, [series.data]);
  if (metric === null || name === null) return <p className={css.browserHint}>{t('browseHint')}</p>;
  const suggested = suggestion(name, metric.type);
  return (
    <div className={css.browserDetail}>
      <h3 className={css.metricName}>{name}</h3>
      <p className={css.faint}>{[metric.type, metric.unit].filter(Boolean).join(' · ')}</p>
      {metric.help !== '' && <p>{metric.help}</p>}
      <div className={css.browserButtons}>
        <Button onClick={() => onPick(suggested)}>
          {t('use', { expr: suggested.length > 44 ? `${suggested.slice(0, 43)}…` : suggested })}
        </Button>
        {suggested !== name && (
          <Button variant="default" onClick={() => onPick(name)}>
            {t('useRaw')}
          </Button>
        )}
      </div>
      <DataRegion
        minHeight={80}
        state={series.data ? { kind: 'ready' } : series.error ? stateOfError(series.error) : { kind: 'loading' }}
      >
        <p className={css.faint}>
          {t('seriesCount', { count: series.data?.length ?? 0, shown: formatValue(series.data?.length ?? 0, 'count') })}
        </p>
        <ul className={css.labelList}>
          {labels.map(([key, values]) => (
            <li key={key}>
              <span className={css.labelName}>{key}</span>
              <span className={css.faint}>{t('valueCount', { count: values.size })}</span>
              <div className={css.chips}>
                {[...values].slice(0, 12).map((value) => (
                  <button key={value} type="button" onClick={() => onPick(`${name}{${key}=${JSON.stringify(value)}}`)}>
                    {value || '""'}
                  </button>
                ))}
                {values.size > 12 && <span className={css.faint}>…</span>}
              </div>
            </li>
          ))}
        </ul>
      </DataRegion>
    </div>
  );
}
