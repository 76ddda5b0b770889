// SPDX-License-Identifier: Apache-2.0
import { IconZoomIn, IconZoomOut } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import type { Range } from '@/shared/time/range';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { IconButton } from '@/shared/ui/IconButton';
import { Panel } from '@/shared/ui/Panel';
import { formatValue } from '@/shared/units/format';
import { PanelName } from '../results/PanelName';
import { logPatterns, nsOf } from './api';
import { LevelWord } from './LevelWord';
import css from './Logs.module.css';
import { levelOf } from './lines';
import { withPattern } from './logql';
import { OfQuery } from './OfQuery';
import { askAll, type Failures, useFailures } from './parts';
import { type PatternRow, patternRows, selectorsOf } from './patterns';
import type { AskedQuery } from './usePaneQueries';

interface Props {
  pane: string;
  queries: readonly AskedQuery[];
  range: Range;
  /** Narrows the queries of a selector. */
  onQuery: (change: (expr: string) => string, only: readonly string[]) => void;
  onFailures: (failures: Failures) => void;
}

const MOST = 200;

/** The shapes that lines have, most frequent first, each with buttons that keep or leave out its lines. */
export function Patterns({ pane, queries, range, onQuery, onFailures }: Props) {
  const { t } = useTranslation('explore');
  const selectors = useMemo(() => selectorsOf(queries), [queries]);
  const asked = selectors.map(({ selector, refIds }) => ({ refId: refIds[0] as string, expr: selector }));
  const found = useQuery({
    queryKey: ['log_patterns', asked, range.fromMs, range.toMs],
    queryFn: ({ signal }) =>
      askAll(asked, (selector) => logPatterns(selector, nsOf(range.fromMs), nsOf(range.toMs), signal), signal),
    placeholderData: (previous) => previous,
    staleTime: Number.POSITIVE_INFINITY,
  });
  useFailures(queries, null, found.data, onFailures);
  const groups = useMemo(
    () =>
      (found.data ?? []).flatMap(({ refId, value }) => {
        const of = selectors.find(({ refIds }) => refIds[0] === refId);
        return of && value ? [{ ...of, rows: patternRows(value) }] : [];
      }),
    [found.data, selectors],
  );
  const count = groups.reduce((sum, group) => sum + group.rows.length, 0);
  let state: RegionState = { kind: 'ready' };
  if (found.isPending) state = { kind: 'loading' };
  else if (found.error) state = stateOfError(found.error, () => void found.refetch());
  else if (found.data.every((part) => part.error)) state = { kind: 'empty', why: t('failedAbove') };
  else if (count === 0) state = { kind: 'empty', why: t('logs.patternsNone') };
  return (
    <Panel
      title={<PanelName name={t('logs.tab.patterns')} pane={pane} />}
      aside={t('logs.patternCount', { count })}
      flush
    >
      <DataRegion state={state} minHeight={200}>
        <div className={css.patterns}>
          {groups.map(({ refIds, selector, rows }) => (
            <section key={selector}>
              {queries.length > 1 && <OfQuery refIds={refIds} expr={selector} />}
              {rows.length === 0 && <p className={css.statRest}>{t('logs.patternsNone')}</p>}
              <PatternList rows={rows} onQuery={(change) => onQuery(change, refIds)} />
            </section>
          ))}
        </div>
      </DataRegion>
    </Panel>
  );
}

interface ListProps {
  rows: readonly PatternRow[];
  onQuery: (change: (expr: string) => string) => void;
}

function PatternList({ rows, onQuery }: ListProps) {
  const { t } = useTranslation('explore');
  const total = rows.reduce((sum, row) => sum + row.count, 0);
  return (
    <ol>
      {rows.slice(0, MOST).map((row) => (
        <li key={`${row.level} ${row.pattern}`} className={css.pattern}>
          <span className={css.fieldButtons}>
            <IconButton
              label={t('logs.patternKeep', { pattern: row.pattern })}
              icon={<IconZoomIn aria-hidden />}
              onClick={() => onQuery((expr) => withPattern(expr, row.pattern, true))}
            />
            <IconButton
              label={t('logs.patternDrop', { pattern: row.pattern })}
              icon={<IconZoomOut aria-hidden />}
              onClick={() => onQuery((expr) => withPattern(expr, row.pattern, false))}
            />
          </span>
          <span className={css.patternCount}>
            {formatValue(row.count, 'count')}
            <meter min={0} max={total} value={row.count} aria-label={t('logs.patternShare')} />
          </span>
          <LevelWord level={levelOf(row.level)} t={t} />
          <code>{row.pattern}</code>
        </li>
      ))}
    </ol>
  );
}
