// SPDX-License-Identifier: Apache-2.0
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { NO_MODEL, staticSource } from '@/shared/charts/model';
import { TimeChart } from '@/shared/charts/TimeChart';
import { formatDuration } from '@/shared/time/format';
import { absolute, zoomOut } from '@/shared/time/range';
import type { TimeControls } from '@/shared/time/useTime';
import { Choice } from '@/shared/ui/Choice';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { Panel } from '@/shared/ui/Panel';
import { formatValue } from '@/shared/units/format';
import { PanelName } from '../results/PanelName';
import { logColumns } from './api';
import css from './OfQuery.module.css';
import { askAll } from './parts';
import type { AskedQuery } from './usePaneQueries';
import { levelsModel, linesIn, queriesModel, volumeExpr, volumeGrid } from './volume';

interface Props {
  pane: string;
  queries: readonly AskedQuery[];
  time: TimeControls;
}

const EACH = '';

/**
 * How many lines the selectors and their filters match over the range. One query is shown by level. Of several each has
 * its own line, as what two of them match would count twice in a sum; the levels of any of them are a choice away.
 */
export function Volume({ pane, queries, time }: Props) {
  const { t, i18n } = useTranslation('explore');
  const { fromMs, toMs } = time.range;
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [chosen, setChosen] = useState(EACH);
  const several = queries.length > 1;
  const only = several ? queries.find((query) => query.refId === chosen) : queries[0];
  const grid = volumeGrid(time.range);
  const { stepMs } = grid;
  const asked = (only ? [only] : queries).map(({ refId, asked: { logPart } }) => ({
    refId,
    expr: volumeExpr(logPart, stepMs, only !== undefined),
  }));
  const answer = useQuery({
    queryKey: ['log_volume', asked, grid.startMs, grid.endMs],
    queryFn: async ({ signal }) => ({
      levels: only !== undefined,
      parts: await askAll(asked, (expr) => logColumns(expr, grid, signal), signal),
    }),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });
  const { data } = answer;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the queries belong to the answer
  const model = useMemo(() => {
    if (!data) return NO_MODEL;
    const [first] = data.parts;
    if (data.levels) return first?.value ? levelsModel(first.value, t) : NO_MODEL;
    return queriesModel(
      data.parts,
      queries.map(({ refId, asked: { logPart } }) => ({ refId, expr: logPart })),
    );
  }, [data, t]);
  const source = useMemo(() => staticSource(model, fromMs, toMs), [model, fromMs, toMs]);
  const shown = (count: number) => formatValue(count, 'count');
  const step = formatDuration(stepMs / 1000);
  const total = model.series.reduce((sum, s) => sum + linesIn(s), 0);
  const each = model.series.map((s) => `${s.name.slice(0, s.name.indexOf(':'))} ${shown(linesIn(s))}`);
  const list = new Intl.ListFormat(i18n.language, { type: 'unit' }).format(each);
  let state: RegionState = { kind: 'ready' };
  if (answer.isPending) state = { kind: 'loading' };
  else if (answer.error) state = stateOfError(answer.error, () => void answer.refetch());
  else if (model.series.length === 0) state = { kind: 'empty', why: t('logs.volumeNone') };
  return (
    <Panel
      className={several ? css.volume : undefined}
      title={<PanelName name={t('logs.volume')} pane={pane} />}
      aside={
        data &&
        (data.levels
          ? t('logs.volumeAside', { count: total, shown: shown(total), step })
          : t('logs.volumeEach', { list, step }))
      }
      actions={
        several && (
          <Choice
            label={t('logs.volumeOf')}
            hideLabel
            value={only ? only.refId : EACH}
            onChange={setChosen}
            options={[
              { value: EACH, label: t('logs.volumeByQuery') },
              ...queries.map(({ refId }) => ({ value: refId, label: t('logs.volumeLevels', { query: refId }) })),
            ]}
          />
        )
      }
    >
      <DataRegion state={state} minHeight={150}>
        <TimeChart
          title={t('logs.volume')}
          source={source}
          unit="count"
          mode={data?.levels === false ? 'line' : 'stack'}
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
