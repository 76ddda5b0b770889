// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type MetricMetadata, seriesOf, tsdbStatus } from '@/shared/api/prom';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { Dialog } from '@/shared/ui/Dialog';
import { SearchField } from '@/shared/ui/SearchField';
import { formatValue } from '@/shared/units/format';
import css from './Explore.module.css';
import { allMetadata, allMetricNames } from './editor/client';

interface Props {
  onPick: (expr: string) => void;
  onClose: () => void;
}

const MOST_SERIES = 10_000;

/** `_bucket`, `_sum` and `_count` are described under the name of their histogram or summary. */
export function metadataOf(
  all: Record<string, MetricMetadata[]> | undefined,
  name: string,
): MetricMetadata | undefined {
  return (all?.[name] ?? all?.[name.replace(/_(bucket|sum|count|total)$/, '')])?.[0];
}

/** A query that makes sense of a metric of this type. */
export function suggestion(name: string, type: string | undefined): string {
  if (name.endsWith('_bucket')) return `histogram_quantile(0.95, sum by (le) (rate(${name}[5m])))`;
  if (type === 'histogram' && !/_(sum|count)$/.test(name)) return `histogram_quantile(0.95, rate(${name}[5m]))`;
  if (type === 'counter' || /_(total|sum|count)$/.test(name)) return `rate(${name}[5m])`;
  return name;
}

export default function MetricsBrowser({ onPick, onClose }: Props) {
  const { t } = useTranslation('explore');
  const [filter, setFilter] = useState('');
  const [chosen, setChosen] = useState<string | null>(null);
  const deferred = useDeferredValue(filter);
  const names = useQuery({ queryKey: ['metric-names'], queryFn: allMetricNames, staleTime: 30_000 });
  const meta = useQuery({ queryKey: ['metadata'], queryFn: allMetadata, staleTime: 30_000 });
  const sizes = useQuery({
    queryKey: ['tsdb', MOST_SERIES],
    queryFn: ({ signal }) => tsdbStatus(MOST_SERIES, signal),
    staleTime: 30_000,
  });
  const bySize = useMemo(
    () => new Map(sizes.data?.seriesCountByMetricName?.map((s) => [s.name, s.value])),
    [sizes.data],
  );
  const shown = useMemo(() => {
    const words = deferred.toLowerCase().split(/\s+/).filter(Boolean);
    return (names.data ?? []).filter((name) => {
      const hay = words.length > 0 ? `${name} ${metadataOf(meta.data, name)?.help ?? ''}`.toLowerCase() : '';
      return words.every((w) => hay.includes(w));
    });
  }, [names.data, meta.data, deferred]);
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 46,
    overscan: 8,
    initialRect: { width: 600, height: 480 },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new filter starts at the top
  useEffect(() => rows.scrollToOffset(0), [deferred]);

  return (
    <Dialog title={t('browse')} size="lg" onClose={onClose}>
      <div className={css.browser}>
        <div className={css.browserList}>
          <SearchField label={t('browseFilter')} value={filter} onChange={setFilter} autoFocus />
          <p className={css.faint}>
            {t('browseCount', { count: shown.length, shown: formatValue(shown.length, 'count') })}
          </p>
          <DataRegion
            minHeight={300}
            state={
              names.data
                ? shown.length > 0
                  ? { kind: 'ready' }
                  : { kind: 'empty', why: names.data.length > 0 ? t('browseFiltered') : t('browseNone') }
                : names.error
                  ? stateOfError(names.error, () => void names.refetch())
                  : { kind: 'loading' }
            }
          >
            <div ref={scroller} className={css.browserScroll}>
              <ul style={{ height: rows.getTotalSize() }}>
                {rows.getVirtualItems().map((item) => {
                  const name = shown[item.index] ?? '';
                  const about = metadataOf(meta.data, name);
                  return (
                    <li key={name} style={{ transform: `translateY(${item.start}px)` }}>
                      <button
                        type="button"
                        aria-pressed={name === chosen}
                        onClick={() => setChosen(name)}
                        onDoubleClick={() => onPick(suggestion(name, about?.type))}
                      >
                        <code>{name}</code>
                        <span className={css.metricType}>{about?.type ?? ''}</span>
                        <span className={css.metricHelp}>{about?.help ?? ''}</span>
                        <span className={css.metricSize}>
                          {bySize.has(name) ? formatValue(bySize.get(name), 'count') : ''}
                        </span>
                      </button>
                    </li>
                  );
                })}
              </ul>
            </div>
          </DataRegion>
        </div>
        <MetricDetail name={chosen} meta={metadataOf(meta.data, chosen ?? '')} onPick={onPick} />
      </div>
    </Dialog>
  );
}

function MetricDetail({
  name,
  meta,
  onPick,
}: {
  name: string | null;
  meta: MetricMetadata | undefined;
  onPick: (expr: string) => void;
}) {
  const { t } = useTranslation('explore');
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
  if (name === null) return <p className={css.browserHint}>{t('browseHint')}</p>;
  const suggested = suggestion(name, meta?.type);
  return (
    <div className={css.browserDetail}>
      <h3 className={css.metricName}>{name}</h3>
      <p className={css.faint}>{[meta?.type, meta?.unit].filter(Boolean).join(' · ')}</p>
      {meta?.help && <p>{meta.help}</p>}
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
