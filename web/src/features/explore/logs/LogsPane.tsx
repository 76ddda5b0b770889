// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { IconClockEdit, IconPlayerPlay, IconPlayerRecord, IconPlayerStop, IconPlus, IconX } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyChunk } from '@/shared/api/chunks';
import { TimeBar } from '@/shared/time/TimeBar';
import { Choice } from '@/shared/ui/Choice';
import { IconButton } from '@/shared/ui/IconButton';
import { exploreSearch, type LogTab, type LogView, type Pane, type PaneView } from '@/shared/url/panes';
import { metricsLike } from '../bridge';
import shared from '../Explore.module.css';
import type { PaneProps } from '../ExplorePane';
import { QueryRow } from '../QueryRow';
import { SourceChoice } from '../SourceChoice';
import { linkTo } from '../shortLink';
import { usePaneTime } from '../usePanes';
import { formatLogQuery } from './api';
import { Fields } from './Fields';
import { LinesResult } from './LinesResult';
import type { LineActions } from './LogDetail';
import { LogsStart } from './LogsStart';
import type { LogLine } from './lines';
import { MetricGraph, MetricTable } from './MetricResult';
import { Patterns } from './Patterns';
import { TailResult } from './TailResult';
import { usePaneQueries } from './usePaneQueries';
import { Volume } from './Volume';

const ContextDialog = lazyChunk(() => import('./ContextDialog'));

const LINK_SPAN_MS = 30 * 60_000;

/** LogQL queries and their lines, fields, patterns or charts. */
export default function LogsPane(props: PaneProps) {
  const { pane, first, onChange, onRunAgain, onFocus, onBusy, onClose, several, onBeside } = props;
  const { t } = useTranslation('explore');
  const [tailing, setTailing] = useState(false);
  const [context, setContext] = useState<LogLine | null>(null);
  const time = usePaneTime(pane, props.time, onChange);
  const onAgain = () => (pane.ownRange ? time.refreshNow() : onRunAgain());
  const rows = usePaneQueries({ pane, onChange, onAgain });
  const { lines, numbers } = rows;
  const words = useMemo(() => [...new Set(lines.flatMap((query) => query.asked.words))], [lines]);
  const { logs: look } = pane;

  const onLook = (change: Partial<LogView>) => onChange({ ...pane, logs: { ...look, ...change } }, { replace: true });
  const actions: LineActions = {
    onQuery: rows.narrow,
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
  // A tail is of one query.
  const [shown] = lines;
  const canTail = lines.length === 1;
  const tail = tailing && canTail;
  const failed = lines.some((query) => rows.failures[query.refId]);

  return (
    <section className={shared.pane} aria-label={t('pane', { id: pane.id.toUpperCase() })} onFocus={onFocus}>
      <div className={shared.rows}>
        {pane.queries.map((query, index) => {
          const error = rows.failures[query.refId];
          return (
            <QueryRow
              key={query.refId}
              query={query}
              source="logs"
              draft={rows.textOf(query)}
              outcome={error ? { error, warnings: [], infos: [] } : undefined}
              autoFocus={first && index === 0}
              onDraft={(expr) => rows.setDraft(query.refId, expr)}
              onRun={rows.run}
              onChange={(change) => rows.set(query.refId, change)}
              onRemove={pane.queries.length > 1 ? () => rows.remove(query.refId) : undefined}
              reformat={formatLogQuery}
            />
          );
        })}
        <div className={shared.toolbar}>
          <SourceChoice value="logs" onChange={(source) => onBeside(source, '', true)} />
          <Button
            leftSection={<IconPlayerPlay size={15} aria-hidden />}
            onClick={rows.run}
            variant={rows.dirty ? 'filled' : 'light'}
          >
            {t('run')}
          </Button>
          <IconButton
            label={t('addQuery')}
            text={t('addQuery')}
            className={shared.addQuery}
            icon={<IconPlus aria-hidden />}
            onClick={rows.add}
          />
          {canTail && (
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
          <Views pane={pane} numbers={numbers.length > 0} lines={lines.length > 0 && !tail} onChange={onChange} />
          {onClose && <IconButton label={t('closePane')} icon={<IconX aria-hidden />} onClick={onClose} />}
        </div>
      </div>
      {pane.ownRange && (
        <div className={shared.paneTime}>
          <TimeBar time={time} busy={false} live={false} shortcuts={false} lockable={false} />
        </div>
      )}
      {lines.length + numbers.length === 0 && <LogsStart onPick={rows.pick} />}
      {numbers.length > 0 && pane.view !== 'table' && (
        <MetricGraph pane={pane} queries={numbers} time={time} onChange={onChange} onFailures={rows.tellNumbers} />
      )}
      {numbers.length > 0 && pane.view === 'table' && (
        <MetricTable pane={pane} queries={numbers} time={time} onFailures={rows.tellNumbers} />
      )}
      {tail && shown && (
        <TailResult
          pane={pane.id}
          query={shown}
          words={words}
          zone={time.zone}
          look={look}
          onLook={onLook}
          actions={actions}
          onFailures={rows.tellLines}
        />
      )}
      {shown && !tail && (
        <>
          {!failed && <Volume pane={pane.id} queries={lines} time={time} />}
          {look.tab === 'lines' && (
            <LinesResult
              pane={pane.id}
              queries={lines}
              words={words}
              time={time}
              look={look}
              onLook={onLook}
              actions={actions}
              onFailures={rows.tellLines}
              onBusy={onBusy}
            />
          )}
          {look.tab === 'fields' && (
            <Fields
              pane={pane.id}
              queries={lines}
              range={time.range}
              onQuery={rows.narrow}
              onFailures={rows.tellLines}
            />
          )}
          {look.tab === 'patterns' && (
            <Patterns
              pane={pane.id}
              queries={lines}
              range={time.range}
              onQuery={rows.narrow}
              onFailures={rows.tellLines}
            />
          )}
        </>
      )}
      {context && <ContextDialog line={context} zone={time.zone} look={look} onClose={() => setContext(null)} />}
    </section>
  );
}

interface ViewsProps {
  pane: Pane;
  numbers: boolean;
  lines: boolean;
  onChange: PaneProps['onChange'];
}

/** How numbers and lines are shown, as far as there are any. */
function Views({ pane, numbers, lines, onChange }: ViewsProps) {
  const { t } = useTranslation('explore');
  return (
    <>
      {numbers && (
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
      {lines && (
        <Choice<LogTab>
          label={t('logs.lines')}
          hideLabel
          value={pane.logs.tab}
          onChange={(tab) => onChange({ ...pane, logs: { ...pane.logs, tab } }, { replace: true })}
          options={[
            { value: 'lines', label: t('logs.tab.lines') },
            { value: 'fields', label: t('logs.tab.fields') },
            { value: 'patterns', label: t('logs.tab.patterns') },
          ]}
        />
      )}
    </>
  );
}
