// SPDX-License-Identifier: Apache-2.0
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { fromFrame, NO_MODEL, staticSource } from '@/shared/charts/model';
import { TimeChart } from '@/shared/charts/TimeChart';
import type { RangeAnswer } from '@/shared/frames/rangeQuery';
import { absolute, stepFor, zoomOut } from '@/shared/time/range';
import type { TimeControls } from '@/shared/time/useTime';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { Panel } from '@/shared/ui/Panel';
import { formatValue } from '@/shared/units/format';
import { PanelName } from '../results/PanelName';
import { logColumns } from './api';
import { LEVELS, type Level, levelOf } from './lines';

/** Places in the palette that come nearest to the colours of levels; what has no level is grey. */
const SLOTS: Record<Level, number> = { critical: 2, error: 4, warn: 1, info: 0, debug: 3, trace: 8, unknown: -1 };
const BARS = 100;

interface Props {
  pane: string;
  /** Of each query. */
  logParts: readonly string[];
  time: TimeControls;
}

/** Columns of several answers on one grid, those of equal labels added up. */
function added(answers: readonly RangeAnswer[]): RangeAnswer {
  const [first] = answers as [RangeAnswer];
  if (answers.length === 1) return first;
  const byLabels = new Map<string, RangeAnswer['columns'][number]>();
  for (const column of answers.flatMap((answer) => answer.columns)) {
    const key = JSON.stringify(Object.entries(column.labels).sort());
    const sum = byLabels.get(key);
    const values = sum ? sum.values.map((v, k) => (v || 0) + (column.values[k] || 0)) : column.values;
    byLabels.set(key, { ...column, values });
  }
  return { ...first, columns: [...byLabels.values()] };
}

/** How many lines the selector and its filters match, by level, over the range. */
export function Volume({ pane, logParts, time }: Props) {
  const { t } = useTranslation('explore');
  const { fromMs, toMs } = time.range;
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const stepMs = stepFor(toMs - fromMs, BARS);
  const grid = {
    startMs: (Math.floor(fromMs / stepMs) + 1) * stepMs,
    endMs: Math.ceil(toMs / stepMs) * stepMs,
    stepMs,
  };
  const exprs = logParts.map((part) => `sum by (detected_level) (count_over_time(${part} [${stepMs / 1000}s]))`);
  const answer = useQuery({
    queryKey: ['log_volume', exprs, grid.startMs, grid.endMs],
    queryFn: async ({ signal }) => added(await Promise.all(exprs.map((expr) => logColumns(expr, grid, signal)))),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });
  const { data } = answer;
  const model = useMemo(() => {
    if (!data) return NO_MODEL;
    const level = (labels: Record<string, string>) => levelOf(labels.detected_level);
    const drawn = fromFrame(data, {
      key: 'volume',
      name: (labels) => t(`logs.level.${level(labels)}`),
      rank: (labels) => -LEVELS.indexOf(level(labels)),
    });
    // A count belongs to the step before its time: two points with the same value, so that it is drawn as a bar. No lines
    // is 0, not a gap.
    const x = new Float64Array(drawn.x.length * 2);
    for (const [k, ms] of drawn.x.entries()) x.set([ms - data.stepMs, ms - 1], 2 * k);
    return {
      x,
      series: drawn.series.map((s) => ({
        ...s,
        slot: SLOTS[level(s.labels)],
        pyramid: [],
        values: Float64Array.from(x, (_ms, k) => s.values[k >> 1] || 0),
      })),
    };
  }, [data, t]);
  const source = useMemo(() => staticSource(model, fromMs, toMs), [model, fromMs, toMs]);
  const total = model.series.reduce((sum, s) => sum + s.values.reduce((a, b) => a + b, 0), 0) / 2;
  let state: RegionState = { kind: 'ready' };
  if (answer.isPending) state = { kind: 'loading' };
  else if (answer.error) state = stateOfError(answer.error, () => void answer.refetch());
  else if (model.series.length === 0) state = { kind: 'empty', why: t('logs.volumeNone') };
  return (
    <Panel
      title={<PanelName name={t('logs.volume')} pane={pane} />}
      aside={
        data
          ? t('logs.volumeAside', {
              count: total,
              shown: formatValue(total, 'count'),
              step: formatValue(stepMs / 1000, 'seconds'),
            })
          : undefined
      }
    >
      <DataRegion state={state} minHeight={150}>
        <TimeChart
          title={t('logs.volume')}
          source={source}
          unit="count"
          mode="stack"
          zone={time.zone}
          height={120}
          min={0}
          hidden={hidden}
          onHiddenChange={setHidden}
          onZoom={(range) => time.setRange(absolute(range))}
          onZoomOut={() => time.setRange(absolute(zoomOut(time.range)))}
          syncKey="explore"
        />
      </DataRegion>
    </Panel>
  );
}
