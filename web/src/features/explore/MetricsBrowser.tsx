// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { tsdbStatus } from '@/shared/api/prom';
import type { NameSlice } from '@/shared/frames/names';
import { formatDuration } from '@/shared/time/format';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { Dialog } from '@/shared/ui/Dialog';
import { SearchField } from '@/shared/ui/SearchField';
import { formatValue } from '@/shared/units/format';
import css from './Explore.module.css';
import { MetricDetail } from './MetricDetail';
import own from './MetricsBrowser.module.css';
import { sparkPath, suggestion, trendOf } from './metricHelp';
import { useMetricIndex } from './useMetricIndex';
import { type Trends, useTrends } from './useTrends';

interface Props {
  onPick: (expr: string) => void;
  onClose: () => void;
}

/** So many of the largest metrics are known from the start; how large others are is asked when they come in sight. */
const SIZES = 1000;
const ROW = 46;
/** A metric of more series than this gets no small chart: its query would cost more than it tells. */
const TREND_SERIES = 2000;

export default function MetricsBrowser({ onPick, onClose }: Props) {
  const { t } = useTranslation('explore');
  const [filter, setFilter] = useState('');
  const [type, setType] = useState('');
  const [chosen, setChosen] = useState<NameSlice | null>(null);
  const index = useMetricIndex(useDeferredValue(filter), type);
  const { show } = index;
  const sizes = useQuery({
    queryKey: ['tsdb', SIZES],
    queryFn: ({ signal }) => tsdbStatus(SIZES, signal),
    staleTime: 30_000,
  });
  const bySize = useMemo(
    () => new Map(sizes.data?.seriesCountByMetricName?.map((s) => [s.name, s.value])),
    [sizes.data],
  );
  const count = index.count ?? 0;
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 6,
    initialRect: { width: 600, height: 480 },
  });
  const items = rows.getVirtualItems();
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? -1];
  // biome-ignore lint/correctness/useExhaustiveDependencies: another search means other rows at the same places
  useEffect(() => {
    if (last >= first) show(first, last);
  }, [first, last, index.turn, show]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new filter starts at the top
  useEffect(() => rows.scrollToOffset(0), [filter, type]);
  const small = (name: string) => sizes.data !== undefined && (bySize.get(name) ?? 1) <= TREND_SERIES;
  const trends = useTrends(items.flatMap((i) => index.row(i.index)?.name ?? []).filter(small));
  const types = Object.keys(index.types).sort();

  return (
    <Dialog title={t('browse')} size="lg" onClose={onClose}>
      <div className={own.browser}>
        <div className={own.list}>
          <div className={own.filters}>
            <SearchField label={t('browseFilter')} value={filter} onChange={setFilter} autoFocus />
            <select
              className={own.type}
              aria-label={t('browseType')}
              value={type}
              onChange={(event) => setType(event.currentTarget.value)}
            >
              <option value="">{t('browseAnyType')}</option>
              {types.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </div>
          <p className={css.faint} role="status">
            {index.partial ? t('browseFirst') : t('browseCount', { count, shown: formatValue(count, 'count') })}
          </p>
          <DataRegion
            minHeight={300}
            state={
              index.count !== null
                ? count > 0
                  ? { kind: 'ready' }
                  : { kind: 'empty', why: index.total ? t('browseFiltered') : t('browseNone') }
                : index.error
                  ? stateOfError(index.error, index.reload)
                  : { kind: 'loading' }
            }
          >
            <div ref={scroller} className={css.browserScroll}>
              <ul style={{ height: rows.getTotalSize() }}>
                {items.map((item) => {
                  const metric = index.row(item.index);
                  return (
                    <li key={item.key} style={{ transform: `translateY(${item.start}px)` }}>
                      {metric && (
                        <Row
                          metric={metric}
                          pressed={metric.name === chosen?.name}
                          size={bySize.get(metric.name) ?? trends.sizes.get(metric.name)}
                          trends={trends}
                          onChoose={() => setChosen(metric)}
                          onPick={() => onPick(suggestion(metric.name, metric.type))}
                        />
                      )}
                    </li>
                  );
                })}
              </ul>
            </div>
          </DataRegion>
        </div>
        <MetricDetail metric={chosen} onPick={onPick} />
      </div>
    </Dialog>
  );
}

interface RowProps {
  metric: NameSlice;
  pressed: boolean;
  size: number | undefined;
  trends: Trends;
  onChoose: () => void;
  onPick: () => void;
}

const SPARK = { width: 72, height: 20 };

function Row({ metric, pressed, size, trends, onChoose, onPick }: RowProps) {
  const { t } = useTranslation('explore');
  const { name, type, help } = metric;
  const line = trends.lines.get(name);
  const counter = type === 'counter' || /_(total|sum|count|bucket)$/.test(name);
  const path = useMemo(
    () => (line ? sparkPath(trendOf(line, counter), SPARK.width, SPARK.height) : ''),
    [line, counter],
  );
  const age = trends.ages.get(name);
  const old = age === undefined && trends.asked.has(name);
  const when = age !== undefined ? t('browseAge', { age: formatDuration(age) }) : old ? t('browseOld') : '';
  return (
    <button type="button" className={own.row} aria-pressed={pressed} onClick={onChoose} onDoubleClick={onPick}>
      <code>{name}</code>
      <span className={css.metricType}>{type}</span>
      <span className={css.metricHelp}>{[when, help].filter(Boolean).join(' · ')}</span>
      <span className={css.metricSize}>{size === undefined ? '' : formatValue(size, 'count')}</span>
      <svg
        className={own.spark}
        width={SPARK.width}
        height={SPARK.height}
        viewBox={`0 0 ${SPARK.width} ${SPARK.height}`}
        aria-hidden
      >
        <path d={path} />
      </svg>
    </button>
  );
}
