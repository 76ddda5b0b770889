// SPDX-License-Identifier: Apache-2.0
import { IconStack2 } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
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
import type { Pane } from '@/shared/url/panes';
import { legendName } from '../legend';
import { PanelName } from '../results/PanelName';
import { Rows, rowsOf } from '../results/TableResult';
import { logColumns, logInstant } from './api';

interface Props {
  pane: Pane;
  expr: string;
  time: TimeControls;
  onChange: (pane: Pane, options?: { replace?: boolean }) => void;
  /** The query failed: its row says why. */
  onError: (error: Error | null) => void;
}

const quiet = { replace: true };

/** A metric query over logs: a chart over the range. */
export function MetricGraph({ pane, expr, time, onChange, onError }: Props) {
  const { t } = useTranslation('explore');
  const { t: tc } = useTranslation('common');
  const { fromMs, toMs } = time.range;
  const grid = gridOf(time.range, 240);
  const answer = useQuery({
    queryKey: ['log_metric', expr, grid.startMs, grid.endMs, grid.stepMs],
    queryFn: ({ signal }) => logColumns(expr, grid, signal),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });
  const { data, error } = answer;
  useEffect(() => onError(error), [error, onError]);
  const name = useMemo(() => legendName('__auto', expr), [expr]);
  const source = useMemo(() => {
    const model = data ? fromFrame(data, { key: 'A', name }) : NO_MODEL;
    return staticSource({ ...model, series: assignSlots(model.series) }, fromMs, toMs);
  }, [data, name, fromMs, toMs]);
  const hidden = useMemo(() => new Set(pane.hidden), [pane.hidden]);
  const widen = () => time.setRange(absolute(zoomOut(time.range)));
  let state: RegionState = { kind: 'ready' };
  if (answer.isPending) state = { kind: 'loading' };
  else if (error) state = { kind: 'empty', why: t('failedAbove') };
  else if (source.model().series.length === 0)
    state = { kind: 'empty', why: t('logs.none'), fixes: [{ label: tc('time.zoomOut'), run: widen }] };
  return (
    <Panel
      title={<PanelName name={t('view.graph')} pane={pane.id} />}
      aside={
        data
          ? t('cost', {
              time: formatValue(data.elapsedMs / 1000, 'seconds'),
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
          title={expr}
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

/** The same query at the end of the range, number by number. */
export function MetricTable({ pane, expr, time, onError }: Omit<Props, 'onChange'>) {
  const { t } = useTranslation('explore');
  const atMs = time.range.toMs;
  const answer = useQuery({
    queryKey: ['log_metric_at', expr, atMs],
    queryFn: ({ signal }) => logInstant(expr, atMs, signal),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const { error } = answer;
  useEffect(() => onError(error), [error, onError]);
  const rows = useMemo(() => (answer.data ? rowsOf('A', answer.data) : []), [answer.data]);
  let state: RegionState = { kind: 'ready' };
  if (answer.isPending) state = { kind: 'loading' };
  else if (error) state = { kind: 'empty', why: t('failedAbove') };
  else if (rows.length === 0) state = { kind: 'empty', why: t('noSeries', { time: formatStamp(atMs, time.zone) }) };
  return (
    <Panel
      title={<PanelName name={t('view.table')} pane={pane.id} />}
      aside={t('tableAt', { count: rows.length, time: formatStamp(atMs, time.zone) })}
      flush
    >
      <DataRegion state={state} minHeight={160}>
        <Rows rows={rows} several={false} title={t('tableRows')} />
      </DataRegion>
    </Panel>
  );
}
