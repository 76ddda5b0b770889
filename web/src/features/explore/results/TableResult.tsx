// SPDX-License-Identifier: Apache-2.0
import { useQueries } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useMemo, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { type Labels, type QueryData, queryInstant, seriesName } from '@/shared/api/prom';
import { formatStamp } from '@/shared/time/format';
import type { Zone } from '@/shared/time/zone';
import { CopyButton } from '@/shared/ui/CopyButton';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { Panel } from '@/shared/ui/Panel';
import type { PaneQuery } from '@/shared/url/panes';
import css from '../Explore.module.css';
import { PanelName } from './PanelName';

interface Row {
  refId: string;
  labels: Labels | null;
  /** As the server wrote it: nothing is rounded. */
  value: string;
}

export function rowsOf(refId: string, data: QueryData): Row[] {
  switch (data.resultType) {
    case 'vector':
      return data.result.map((r) => ({
        refId,
        labels: r.metric,
        value: r.value?.[1] ?? (r.histogram ? `count ${r.histogram[1].count}, sum ${r.histogram[1].sum}` : ''),
      }));
    case 'matrix':
      return data.result.map((r) => ({
        refId,
        labels: r.metric,
        value: (r.values ?? []).map(([t, v]) => `${v} @${t}`).join('\n'),
      }));
    default:
      return [{ refId, labels: null, value: data.result[1] }];
  }
}

interface Props {
  pane: string;
  queries: readonly PaneQuery[];
  atMs: number;
  zone: Zone;
}

export function TableResult({ pane, queries, atMs, zone }: Props) {
  const { t } = useTranslation('explore');
  const results = useQueries({
    queries: queries.map((q) => ({
      queryKey: ['query', q.expr, atMs],
      queryFn: ({ signal }: { signal: AbortSignal }) => queryInstant(q.expr, atMs, signal),
      placeholderData: (previous: Awaited<ReturnType<typeof queryInstant>> | undefined) => previous,
      staleTime: Number.POSITIVE_INFINITY,
    })),
  });
  const stamp = results.map((r) => r.dataUpdatedAt).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the stamp says when any answer changed
  const rows = useMemo(
    () => results.flatMap((r, i) => (r.data ? rowsOf(queries[i]?.refId ?? '', r.data.data) : [])),
    [stamp, queries],
  );
  const errors = results.flatMap((r) => (r.error ? [r.error] : []));
  let state: RegionState = { kind: 'ready' };
  if (rows.length === 0) {
    if (results.some((r) => r.isPending)) state = { kind: 'loading' };
    else if (errors[0]) state = stateOfError(errors[0]);
    else state = { kind: 'empty', why: t('noSeries', { time: formatStamp(atMs, zone) }) };
  } else if (errors.length > 0) state = { kind: 'partial', failures: errors.map((e) => e.message) };
  return (
    <Panel
      title={<PanelName name={t('view.table')} pane={pane} />}
      aside={t('tableAt', { count: rows.length, time: formatStamp(atMs, zone) })}
      actions={
        <CopyButton
          label={t('copyTable')}
          value={() => rows.map((r) => `${r.labels ? seriesName(r.labels) : r.refId}\t${r.value}`).join('\n')}
        />
      }
      flush
    >
      <DataRegion state={state} minHeight={160}>
        <Rows rows={rows} several={queries.length > 1} title={t('tableRows')} />
      </DataRegion>
    </Panel>
  );
}

export function Rows({ rows, several, title }: { rows: readonly Row[]; several: boolean; title: string }) {
  const { t } = useTranslation('explore');
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 31,
    overscan: 12,
    initialRect: { width: 900, height: 560 },
  });
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section ref={scroller} className={css.tableScroll} tabIndex={0} aria-label={title}>
      <table className={css.table} aria-rowcount={rows.length}>
        <caption className="sr-only">{title}</caption>
        <thead>
          <tr>
            {several && <th scope="col">{t('column.query')}</th>}
            <th scope="col">{t('column.series')}</th>
            <th scope="col">{t('column.value')}</th>
          </tr>
        </thead>
        <tbody>
          {before > 0 && (
            <tr aria-hidden>
              <td style={{ height: before }} />
            </tr>
          )}
          {items.map((item) => {
            const row = rows[item.index];
            if (!row) return null;
            return (
              <tr key={item.key} data-index={item.index} ref={virtual.measureElement}>
                {several && <td>{row.refId}</td>}
                <td>
                  <SeriesText labels={row.labels} />
                </td>
                <td className={css.value}>{row.value}</td>
              </tr>
            );
          })}
          {after > 0 && (
            <tr aria-hidden>
              <td style={{ height: after }} />
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}

/** `name{label="value"}` with the parts told apart; selecting it copies exactly that text. */
export function SeriesText({ labels }: { labels: Labels | null }) {
  if (!labels) return <span className={css.scalar}>–</span>;
  const { __name__: name, ...rest } = labels;
  const keys = Object.keys(rest).sort();
  return (
    <span className={css.series}>
      {name}
      {(keys.length > 0 || !name) && '{'}
      {keys.map((key, index) => (
        <span key={key}>
          {index > 0 && ', '}
          <span className={css.labelName}>{key}</span>
          {'='}
          <span className={css.labelValue}>{JSON.stringify(rest[key])}</span>
        </span>
      ))}
      {(keys.length > 0 || !name) && '}'}
    </span>
  );
}
