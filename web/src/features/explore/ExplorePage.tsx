// SPDX-License-Identifier: Apache-2.0
import { IconClockShare, IconColumns2, IconHistory, IconLink, IconList } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyChunk } from '@/shared/api/chunks';
import { useHotkeys } from '@/shared/keys/useHotkeys';
import { absolute, resolveRange } from '@/shared/time/range';
import { TimeBar } from '@/shared/time/TimeBar';
import type { TimeControls } from '@/shared/time/useTime';
import { CopyButton } from '@/shared/ui/CopyButton';
import { copyText } from '@/shared/ui/clipboard';
import { DataRegion } from '@/shared/ui/DataRegion';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import { Page } from '@/shared/ui/Page';
import {
  EVEN_SHARE,
  emptyPane,
  emptyQuery,
  exploreSearch,
  LOG_VIEW,
  MOST_PANES,
  type Pane,
  type PaneSource,
} from '@/shared/url/panes';
import css from './Explore.module.css';
import { ExplorePane } from './ExplorePane';
import { Split } from './Split';
import { linkTo } from './shortLink';
import { usePanes } from './usePanes';

const LogsPane = lazyChunk(() => import('./logs/LogsPane'));
const MetricsBrowser = lazyChunk(() => import('./MetricsBrowser'));
const HistoryDialog = lazyChunk(() => import('./HistoryDialog'));

export function ExplorePage() {
  const { t } = useTranslation('explore');
  const { t: tc } = useTranslation('common');
  const { panes, broken, time, change } = usePanes();
  const [box, setBox] = useState<'browser' | 'history' | null>(null);
  const [target, setTarget] = useState(0);
  const [busy, setBusy] = useState<Record<string, boolean>>({});

  const search = (fixed: boolean) => ({
    ...exploreSearch(fixed ? panes.map((p) => ({ ...p, range: absolute(rangeOf(p, time)) })) : panes),
    timezone: fixed || time.zone !== 'browser' ? time.zone : undefined,
  });
  useHotkeys({ 't s': () => void linkTo(search(true)).then(copyText) });

  const setPane = (index: number) => (pane: Pane, options?: { replace?: boolean }) =>
    change(
      panes.map((p, i) => (i === index ? pane : p)),
      options,
    );
  const split = () => {
    const last = panes.at(-1);
    if (last) change([...panes, { ...last, id: nextId(panes), hidden: [], share: EVEN_SHARE }]);
  };
  /** A query of either source in the pane itself or in a new one next to it; the last one is used when there are enough. */
  const beside =
    (index: number) =>
    (source: PaneSource, expr: string, here = false) => {
      const from = panes[index];
      if (!from) return;
      const fresh = { source, queries: [emptyQuery(0, expr)], view: 'graph' as const, hidden: [], logs: LOG_VIEW };
      const full = panes.length >= MOST_PANES;
      if (here || full) {
        const at = here ? index : panes.length - 1;
        change(panes.map((p, i) => (i === at ? { ...p, ...fresh } : p)));
      } else {
        const { range, ownRange, compare } = from;
        const next = { ...emptyPane(nextId(panes)), ...fresh, range, ownRange, compare };
        change([...panes.slice(0, index + 1), next, ...panes.slice(index + 1)]);
      }
    };

  const insert = (source: PaneSource) => (expr: string) => {
    const at = panes[target] ? target : 0;
    const pane = panes[at];
    if (!pane) return;
    setBox(null);
    if (pane.source !== source) {
      beside(at)(source, expr);
      return;
    }
    const empty = pane.queries.findIndex((q) => q.expr.trim() === '');
    const row = source === 'logs' ? 0 : empty >= 0 ? empty : pane.queries.length - 1;
    const queries = pane.queries.map((q, i) => (i === row ? { ...q, expr } : q));
    setPane(at)({ ...pane, queries });
  };

  const source = (panes[target] ?? panes[0])?.source ?? 'metrics';
  const rows = [panes.slice(0, 2), panes.slice(2, 4)].filter((row) => row.length > 0);
  const paneView = (pane: Pane, index: number) => {
    const View = pane.source === 'logs' ? LogsPane : ExplorePane;
    return (
      <View
        key={`${pane.id} ${pane.source}`}
        hold={<DataRegion state={{ kind: 'loading' }} minHeight={300} />}
        pane={pane}
        time={time}
        first={index === 0}
        several={panes.length > 1}
        onChange={setPane(index)}
        onRunAgain={time.refreshNow}
        onFocus={() => setTarget(index)}
        onBusy={(on) => setBusy((b) => (b[pane.id] === on ? b : { ...b, [pane.id]: on }))}
        onBrowse={() => {
          setTarget(index);
          setBox('browser');
        }}
        onBeside={beside(index)}
        onClose={panes.length > 1 ? () => change(panes.filter((_, i) => i !== index)) : undefined}
      />
    );
  };

  return (
    <Page
      title={t('title')}
      wide
      actions={
        <>
          <IconButton
            framed
            label={t('browse')}
            text={t('browse')}
            icon={<IconList aria-hidden />}
            onClick={() => setBox('browser')}
          />
          <IconButton
            framed
            label={t('history')}
            icon={<IconHistory aria-hidden />}
            onClick={() => setBox('history')}
          />
          {panes.length < MOST_PANES && (
            <IconButton framed label={t('split')} icon={<IconColumns2 aria-hidden />} onClick={split} />
          )}
          <CopyButton
            framed
            label={tc('link.copy')}
            icon={<IconLink aria-hidden />}
            value={() => linkTo(search(false))}
          />
          <CopyButton
            framed
            label={tc('link.moment')}
            icon={<IconClockShare aria-hidden />}
            value={() => linkTo(search(true))}
          />
          <TimeBar time={time} busy={Object.values(busy).some(Boolean)} />
        </>
      }
    >
      {broken && <Message level="warning">{t('broken')}</Message>}
      <div className={css.panes}>
        {rows.map((row) => (
          <Row
            key={row.map((p) => p.id).join()}
            panes={row}
            onShare={(share) => row[0] && setPane(panes.indexOf(row[0]))({ ...row[0], share }, { replace: true })}
            render={(pane) => paneView(pane, panes.indexOf(pane))}
          />
        ))}
      </div>
      {box === 'browser' && <MetricsBrowser onPick={insert('metrics')} onClose={() => setBox(null)} />}
      {box === 'history' && (
        <HistoryDialog source={source} onPick={insert(source)} onClose={() => setBox(null)} zone={time.zone} />
      )}
    </Page>
  );
}

/** The instants that a pane shows now. */
function rangeOf(pane: Pane, time: TimeControls) {
  return (pane.ownRange && resolveRange(pane.range, time.context())) || time.range;
}

interface RowProps {
  panes: readonly Pane[];
  onShare: (share: number) => void;
  render: (pane: Pane) => ReactNode;
}

function Row({ panes: [left, right], onShare, render }: RowProps) {
  if (!left) return null;
  if (!right) return render(left);
  return <Split left={render(left)} right={render(right)} share={left.share} onShare={onShare} />;
}

function nextId(panes: readonly Pane[]): string {
  return ['a', 'b', 'c', 'd'].find((id) => panes.every((p) => p.id !== id)) ?? 'z';
}
