// SPDX-License-Identifier: Apache-2.0
import { IconStack2 } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { assignSlots, fromFrame, NO_MODEL, staticSource } from '@/shared/charts/model';
import { TimeChart } from '@/shared/charts/TimeChart';
import { gridOf } from '@/shared/charts/usePanelSource';
import { formatStamp } from '@/shared/time/format';
import { absolute, zoomOut } from '@/shared/time/range';
import type { TimeControls } from '@/shared/time/useTime';
import { DataRegion, type RegionState } from '@/shared/ui/DataRegion';
import { IconButton } from '@/shared/ui/IconButton';
import { Panel } from '@/shared/ui/Panel';
import { formatValue } from '@/shared/units/format';
import type { Pane, PaneQuery } from '@/shared/url/panes';
import { legendName } from '../legend';
import { PanelName } from '../results/PanelName';
import { Rows, rowsOf } from '../results/TableResult';
import { logColumns, logInstant } from './api';
import { askAll, type Failures, useFailures } from './parts';

interface Props {
  pane: Pane;
  queries: readonly PaneQuery[];
  time: TimeControls;
  onChange: (pane: Pane, options?: { replace?: boolean }) => void;
  /** Queries that failed: their rows say why. */
  onFailures: (failures: Failures) => void;
}

const quiet = { replace: true };

const keysOf = (queries: readonly PaneQuery[]) => queries.map((q) => [q.refId, q.expr, q.legendFormat]);

/** Metric queries over logs: a chart over the range. */
export function MetricGraph({ pane, queries, time, onChange, onFailures }: Props) {
  const { t } = useTranslation('explore');
  const { t: tc } = useTranslation('common');
  const { fromMs, toMs } = time.range;
  const grid = gridOf(time.range, 240);
  const answer = useQuery({
    queryKey: ['log_metric', keysOf(queries), grid.startMs, grid.endMs, grid.stepMs],
    queryFn: ({ signal }) => askAll(queries, (expr) => logColumns(expr, grid, signal), signal),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });
  const { data, error } = answer;
  useFailures(queries, error, data, onFailures);
  const failed = error !== null || (data?.every((part) => part.error) ?? false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the queries belong to the answer
  const source = useMemo(() => {
    const models = (data ?? []).flatMap(({ refId, value }) => {
      const query = queries.find((q) => q.refId === refId);
      return value
        ? [fromFrame(value, { key: refId, name: legendName(query?.legendFormat ?? '__auto', query?.expr ?? '') })]
        : [];
    });
    const series = assignSlots(models.flatMap((model) => model.series));
    return staticSource({ ...(models[0] ?? NO_MODEL), series }, fromMs, toMs);
  }, [data, fromMs, toMs]);
  const elapsedMs = Math.max(0, ...(data ?? []).map((part) => part.value?.elapsedMs ?? 0));
  const hidden = useMemo(() => new Set(pane.hidden), [pane.hidden]);
  const widen = () => time.setRange(absolute(zoomOut(time.range)));
  let state: RegionState = { kind: 'ready' };
  if (answer.isPending) state = { kind: 'loading' };
  else if (failed) state = { kind: 'empty', why: t('failedAbove') };
  else if (source.model().series.length === 0)
    state = { kind: 'empty', why: t('logs.none'), fixes: [{ label: tc('time.zoomOut'), run: widen }] };
  return (
    <Panel
      title={<PanelName name={t('view.graph')} pane={pane.id} />}
      aside={
        data
          ? t('cost', {
              time: formatValue(elapsedMs / 1000, 'seconds'),
              step: formatValue(grid.stepMs / 1000, 'seconds'),
            })
          : undefined
      }
      actions={
        <IconButton
          label={t('stack')}
          icon={<IconStack2 aria-hidden />}
          active={pane.stacked}
          onClick={() => onChange({ ...pane, stacked: !pane.stacked }, quiet)}
        />
      }
    >
      <DataRegion state={state} minHeight={380}>
        <TimeChart
          title={queries.map((query) => query.expr).join('; ')}
          source={source}
          unit="short"
          mode={pane.stacked ? 'stack' : 'line'}
          zone={time.zone}
          height={340}
          hidden={hidden}
          legend="table"
          onHiddenChange={(next) => onChange({ ...pane, hidden: [...next] }, quiet)}
          onZoom={(range) => time.setRange(absolute(range))}
          onZoomOut={widen}
          syncKey="explore"
        />
      </DataRegion>
    </Panel>
  );
}

/** The same queries at the end of the range, number by number. */
export function MetricTable({ pane, queries, time, onFailures }: Omit<Props, 'onChange'>) {
  const { t } = useTranslation('explore');
  const atMs = time.range.toMs;
  const answer = useQuery({
    queryKey: ['log_metric_at', keysOf(queries), atMs],
    queryFn: ({ signal }) => askAll(queries, (expr) => logInstant(expr, atMs, signal), signal),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const { data, error } = answer;
  useFailures(queries, error, data, onFailures);
  const failed = error !== null || (data?.every((part) => part.error) ?? false);
  const rows = useMemo(() => (data ?? []).flatMap(({ refId, value }) => (value ? rowsOf(refId, value) : [])), [data]);
  let state: RegionState = { kind: 'ready' };
  if (answer.isPending) state = { kind: 'loading' };
  else if (failed) state = { kind: 'empty', why: t('failedAbove') };
  else if (rows.length === 0) state = { kind: 'empty', why: t('noSeries', { time: formatStamp(atMs, time.zone) }) };
  return (
    <Panel
      title={<PanelName name={t('view.table')} pane={pane.id} />}
      aside={t('tableAt', { count: rows.length, time: formatStamp(atMs, time.zone) })}
      flush
    >
      <DataRegion state={state} minHeight={160}>
        <Rows rows={rows} several={queries.length > 1} title={t('tableRows')} />
      </DataRegion>
    </Panel>
  );
}
