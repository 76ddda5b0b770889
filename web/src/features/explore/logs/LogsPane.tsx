// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { IconClockEdit, IconPlayerPlay, IconPlayerRecord, IconPlayerStop, IconX } from '@tabler/icons-react';
import { Suspense, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyChunk } from '@/shared/api/chunks';
import { TimeBar } from '@/shared/time/TimeBar';
import { Choice } from '@/shared/ui/Choice';
import { IconButton } from '@/shared/ui/IconButton';
import { emptyQuery, exploreSearch, type LogTab, type LogView, type PaneView } from '@/shared/url/panes';
import { metricsLike } from '../bridge';
import shared from '../Explore.module.css';
import type { PaneProps } from '../ExplorePane';
import { QueryRow } from '../QueryRow';
import { rememberQueries } from '../queryHistory';
import { SourceChoice } from '../SourceChoice';
import { linkTo } from '../shortLink';
import { usePaneTime } from '../usePanes';
import { formatLogQuery } from './api';
import { LinesResult } from './LinesResult';
import type { LineActions } from './LogDetail';
import { LogsStart } from './LogsStart';
import type { LogLine } from './lines';
import { analyse } from './logql';
import { MetricGraph, MetricTable } from './MetricResult';
import { Patterns } from './Patterns';
import { TailResult } from './TailResult';
import { Volume } from './Volume';

const ContextDialog = lazyChunk(() => import('./ContextDialog'));

const LINK_SPAN_MS = 30 * 60_000;

/** One LogQL query and its lines, patterns or chart. */
export default function LogsPane(props: PaneProps) {
  const { pane, first, onChange, onRunAgain, onFocus, onBusy, onClose, several, onBeside } = props;
  const { t } = useTranslation('explore');
  const query = pane.queries[0] ?? emptyQuery(0);
  const [draft, setDraft] = useState<string | null>(null);
  const [tailing, setTailing] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const [context, setContext] = useState<LogLine | null>(null);
  const time = usePaneTime(pane, props.time, onChange);
  const { expr } = query;
  const asked = useMemo(() => analyse(expr), [expr]);
  const text = draft ?? expr;
  const { logs: look } = pane;

  const ask = (next: string) => {
    setDraft(null);
    if (next === expr) {
      if (pane.ownRange) time.refreshNow();
      else onRunAgain();
      return;
    }
    setError(null);
    rememberQueries([next], 'logs');
    onChange({ ...pane, queries: [{ ...query, expr: next }], hidden: [], logs: { ...look, line: '' } });
  };
  const onLook = (change: Partial<LogView>) => onChange({ ...pane, logs: { ...look, ...change } }, { replace: true });
  const actions: LineActions = {
    onQuery: (change) => {
      const next = change(text);
      if (next !== text) ask(next);
    },
    onContext: setContext,
    onMetrics: async (line) => {
      const found = await metricsLike(line.stream);
      if (found) onBeside('metrics', found);
      return found !== null;
    },
    linkTo: (line) => {
      // The line is the last of its link's range, so that it is among the first that are shown.
      const range = { from: String(line.ms - LINK_SPAN_MS), to: String(line.ms + 1) };
      const logs: LogView = { ...look, tab: 'lines', oldestFirst: false, line: line.key };
      const zone = time.zone === 'browser' ? undefined : time.zone;
      return linkTo({ ...exploreSearch([{ ...pane, range, ownRange: false, logs }]), timezone: zone });
    },
  };
  const tail = tailing && asked.kind === 'logs';

  return (
    <section className={shared.pane} aria-label={t('pane', { id: pane.id.toUpperCase() })} onFocus={onFocus}>
      <div className={shared.rows}>
        <QueryRow
          query={query}
          source="logs"
          draft={text}
          outcome={error ? { error, warnings: [], infos: [] } : undefined}
          autoFocus={first}
          onDraft={setDraft}
          onRun={() => ask(text)}
          onChange={() => undefined}
          onRemove={undefined}
          reformat={formatLogQuery}
        />
        <div className={shared.toolbar}>
          <SourceChoice value="logs" onChange={(source) => onBeside(source, '', true)} />
          <Button
            leftSection={<IconPlayerPlay size={15} aria-hidden />}
            onClick={() => ask(text)}
            variant={text !== expr ? 'filled' : 'light'}
          >
            {t('run')}
          </Button>
          {asked.kind === 'logs' && (
            <IconButton
              label={tail ? t('logs.tail.stop') : t('logs.tail.start')}
              text={tail ? t('logs.tail.stop') : t('logs.tail.start')}
              icon={tail ? <IconPlayerStop aria-hidden /> : <IconPlayerRecord aria-hidden />}
              onClick={() => setTailing(!tail)}
            />
          )}
          {several && (
            <IconButton
              label={pane.ownRange ? t('ownRangeOn') : t('ownRange')}
              icon={<IconClockEdit aria-hidden />}
              active={pane.ownRange}
              onClick={() => onChange({ ...pane, ownRange: !pane.ownRange, range: time.raw, compare: time.compare })}
            />
          )}
          <span className={shared.grow} />
          {asked.kind === 'metric' && (
            <Choice<PaneView>
              label={t('view')}
              hideLabel
              value={pane.view === 'table' ? 'table' : 'graph'}
              onChange={(view) => onChange({ ...pane, view }, { replace: true })}
              options={[
                { value: 'graph', label: t('view.graph') },
                { value: 'table', label: t('view.table') },
              ]}
            />
          )}
          {asked.kind === 'logs' && !tail && (
            <Choice<LogTab>
              label={t('view')}
              hideLabel
              value={look.tab}
              onChange={(tab) => onLook({ tab })}
              options={[
                { value: 'lines', label: t('logs.tab.lines') },
                { value: 'patterns', label: t('logs.tab.patterns') },
              ]}
            />
          )}
          {onClose && <IconButton label={t('closePane')} icon={<IconX aria-hidden />} onClick={onClose} />}
        </div>
      </div>
      {pane.ownRange && (
        <div className={shared.paneTime}>
          <TimeBar time={time} busy={false} live={false} shortcuts={false} lockable={false} />
        </div>
      )}
      {asked.kind === 'empty' && <LogsStart onPick={ask} />}
      {asked.kind === 'metric' && pane.view !== 'table' && (
        <MetricGraph pane={pane} expr={expr} time={time} onChange={onChange} onError={setError} />
      )}
      {asked.kind === 'metric' && pane.view === 'table' && (
        <MetricTable pane={pane} expr={expr} time={time} onError={setError} />
      )}
      {tail && (
        <TailResult
          pane={pane.id}
          query={expr}
          words={asked.words}
          zone={time.zone}
          look={look}
          onLook={onLook}
          actions={actions}
          onError={setError}
        />
      )}
      {asked.kind === 'logs' && !tail && (
        <>
          {!error && <Volume pane={pane.id} logPart={asked.logPart} time={time} />}
          {look.tab === 'lines' ? (
            <LinesResult
              pane={pane.id}
              query={expr}
              words={asked.words}
              time={time}
              look={look}
              onLook={onLook}
              actions={actions}
              onError={setError}
              onBusy={onBusy}
            />
          ) : (
            <Patterns pane={pane.id} selector={asked.selector} range={time.range} onQuery={actions.onQuery} />
          )}
        </>
      )}
      {context && (
        <Suspense>
          <ContextDialog line={context} zone={time.zone} look={look} onClose={() => setContext(null)} />
        </Suspense>
      )}
    </section>
  );
}
