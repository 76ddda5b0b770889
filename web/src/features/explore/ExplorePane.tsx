// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { IconClockEdit, IconListSearch, IconPlayerPlay, IconPlus, IconX } from '@tabler/icons-react';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyChunk } from '@/shared/api/chunks';
import { usePanelTime } from '@/shared/charts/useComparison';
import { usePanelSource } from '@/shared/charts/usePanelSource';
import { TimeBar } from '@/shared/time/TimeBar';
import type { TimeControls } from '@/shared/time/useTime';
import { Choice } from '@/shared/ui/Choice';
import { IconButton } from '@/shared/ui/IconButton';
import { emptyQuery, type Pane, type PaneSource, type PaneView } from '@/shared/url/panes';
import css from './Explore.module.css';
import { legendName } from './legend';
import { MetricsStart } from './MetricsStart';
import { QueryRow } from './QueryRow';
import { rememberQueries } from './queryHistory';
import { ExplainResult } from './results/ExplainResult';
import { GraphResult } from './results/GraphResult';
import { TableResult } from './results/TableResult';
import { SourceChoice } from './SourceChoice';
import { usePaneTime } from './usePanes';

const Inspector = lazyChunk(() => import('./Inspector'));

export interface PaneProps {
  pane: Pane;
  time: TimeControls;
  first: boolean;
  onChange: (pane: Pane, options?: { replace?: boolean }) => void;
  onRunAgain: () => void;
  onFocus: () => void;
  onBusy: (busy: boolean) => void;
  onClose: (() => void) | undefined;
  /** Several panes: each may have a range of its own. */
  several: boolean;
  /** Opens the list of metrics, for this pane. */
  onBrowse: () => void;
  /** Shows a query of a source next to this pane, or in place of what it shows. */
  onBeside: (source: PaneSource, expr: string, here?: boolean) => void;
}

/** Query rows that hold drafts until they are run, and the result of what was run last. */
export function ExplorePane(props: PaneProps) {
  const { pane, first, onChange, onRunAgain, onFocus, onBusy, onClose, several, onBrowse, onBeside } = props;
  const { t } = useTranslation('explore');
  const { t: tc } = useTranslation('common');
  const [drafts, setDrafts] = useState<Record<string, string>>({});
  const ran = useMemo(() => pane.queries.filter((q) => !q.hide && q.expr.trim() !== ''), [pane.queries]);
  const queries = useMemo(
    () => ran.map((q) => ({ key: q.refId, expr: q.expr, name: legendName(q.legendFormat, q.expr) })),
    [ran],
  );
  const [inspecting, setInspecting] = useState(false);
  const time = usePaneTime(pane, props.time, onChange);
  const panel = usePanelSource(queries, usePanelTime(time), tc('chart.noData'), 640);
  useEffect(() => onBusy(panel.busy), [panel.busy, onBusy]);

  const draftOf = (refId: string, expr: string) => drafts[refId] ?? expr;
  const dirty = pane.queries.some((q) => draftOf(q.refId, q.expr) !== q.expr);
  const run = () => {
    const next = pane.queries.map((q) => ({ ...q, expr: draftOf(q.refId, q.expr) }));
    rememberQueries(
      next.filter((q) => !q.hide).map((q) => q.expr),
      'metrics',
    );
    setDrafts({});
    if (dirty) onChange({ ...pane, queries: next, hidden: [] });
    else if (pane.ownRange) time.refreshNow();
    else onRunAgain();
  };
  const pick = (expr: string) => {
    rememberQueries([expr], 'metrics');
    setDrafts({});
    onChange({ ...pane, queries: pane.queries.map((q, k) => (k === 0 ? { ...q, expr } : q)), hidden: [] });
  };
  const set = (refId: string, change: Partial<Pane['queries'][number]>) =>
    onChange({ ...pane, queries: pane.queries.map((q) => (q.refId === refId ? { ...q, ...change } : q)) });
  const add = () => {
    const used = new Set(pane.queries.map((q) => q.refId));
    let index = pane.queries.length;
    while (used.has(emptyQuery(index).refId)) index += 1;
    onChange({ ...pane, queries: [...pane.queries, emptyQuery(index)] });
  };

  return (
    <section className={css.pane} aria-label={t('pane', { id: pane.id.toUpperCase() })} onFocus={onFocus}>
      <div className={css.rows}>
        {pane.queries.map((query, index) => (
          <QueryRow
            key={query.refId}
            query={query}
            draft={draftOf(query.refId, query.expr)}
            outcome={panel.outcomes[query.refId]}
            autoFocus={first && index === 0}
            onDraft={(expr) => setDrafts((d) => ({ ...d, [query.refId]: expr }))}
            onRun={run}
            onChange={(change) => set(query.refId, change)}
            onRemove={
              pane.queries.length > 1
                ? () => onChange({ ...pane, queries: pane.queries.filter((q) => q.refId !== query.refId) })
                : undefined
            }
          />
        ))}
        <div className={css.toolbar}>
          <SourceChoice value="metrics" onChange={(source) => onBeside(source, '', true)} />
          <Button
            leftSection={<IconPlayerPlay size={15} aria-hidden />}
            onClick={run}
            variant={dirty ? 'filled' : 'light'}
          >
            {t('run')}
          </Button>
          <IconButton
            label={t('addQuery')}
            text={t('addQuery')}
            className={css.addQuery}
            icon={<IconPlus aria-hidden />}
            onClick={add}
          />
          <IconButton
            label={t('inspect')}
            icon={<IconListSearch aria-hidden />}
            disabled={ran.length === 0}
            onClick={() => setInspecting(true)}
          />
          {several && (
            <IconButton
              label={pane.ownRange ? t('ownRangeOn') : t('ownRange')}
              icon={<IconClockEdit aria-hidden />}
              active={pane.ownRange}
              onClick={() => onChange({ ...pane, ownRange: !pane.ownRange, range: time.raw, compare: time.compare })}
            />
          )}
          <span className={css.grow} />
          <Choice<PaneView>
            label={t('view')}
            hideLabel
            value={pane.view}
            onChange={(view) => onChange({ ...pane, view }, { replace: true })}
            options={[
              { value: 'graph', label: t('view.graph') },
              { value: 'table', label: t('view.table') },
              { value: 'explain', label: t('view.explain') },
            ]}
          />
          {onClose && <IconButton label={t('closePane')} icon={<IconX aria-hidden />} onClick={onClose} />}
        </div>
      </div>
      {pane.ownRange && (
        <div className={css.paneTime}>
          <TimeBar time={time} busy={panel.busy} live={false} shortcuts={false} lockable={false} />
        </div>
      )}
      {ran.length === 0 && <MetricsStart onPick={pick} onBrowse={onBrowse} />}
      {ran.length > 0 && pane.view === 'graph' && (
        <GraphResult
          pane={pane}
          panel={panel}
          time={time}
          onChange={onChange}
          onLogs={(selector) => onBeside('logs', selector)}
        />
      )}
      {ran.length > 0 && pane.view === 'table' && (
        <TableResult pane={pane.id} queries={ran} atMs={time.range.toMs} zone={time.zone} />
      )}
      {ran.length > 0 && pane.view === 'explain' && (
        <ExplainResult pane={pane.id} queries={ran} atMs={time.range.toMs} />
      )}
      {inspecting && (
        <Inspector queries={ran} outcomes={panel.outcomes} zone={time.zone} onClose={() => setInspecting(false)} />
      )}
    </section>
  );
}
