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

interface Props {
  pane: string;
  /** The selector; patterns know nothing of filters. */
  selector: string;
  range: Range;
  onQuery: (change: (expr: string) => string) => void;
}

const MOST = 200;

/** The shapes that lines have, most frequent first, each with buttons that keep or leave out its lines. */
export function Patterns({ pane, selector, range, onQuery }: Props) {
  const { t } = useTranslation('explore');
  const found = useQuery({
    queryKey: ['log_patterns', selector, range.fromMs, range.toMs],
    queryFn: ({ signal }) => logPatterns(selector, nsOf(range.fromMs), nsOf(range.toMs), signal),
    placeholderData: (previous) => previous,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const rows = useMemo(
    () =>
      (found.data ?? [])
        .map((p) => ({ ...p, count: p.samples.reduce((sum, [, n]) => sum + n, 0) }))
        .sort((a, b) => b.count - a.count),
    [found.data],
  );
  const total = rows.reduce((sum, row) => sum + row.count, 0);
  let state: RegionState = { kind: 'ready' };
  if (found.isPending) state = { kind: 'loading' };
  else if (found.error) state = stateOfError(found.error, () => void found.refetch());
  else if (rows.length === 0) state = { kind: 'empty', why: t('logs.patternsNone') };
  return (
    <Panel
      title={<PanelName name={t('logs.tab.patterns')} pane={pane} />}
      aside={t('logs.patternCount', { count: rows.length })}
      flush
    >
      <DataRegion state={state} minHeight={200}>
        <ol className={css.patterns}>
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
              <LevelWord level={levelOf(row.level)} />
              <code>{row.pattern}</code>
            </li>
          ))}
        </ol>
      </DataRegion>
    </Panel>
  );
}
