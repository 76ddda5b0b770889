// SPDX-License-Identifier: Apache-2.0
import { IconClockShare, IconColumns2, IconHistory, IconLink, IconList } from '@tabler/icons-react';
import { type ReactNode, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyChunk } from '@/shared/api/chunks';
import { useHotkeys } from '@/shared/keys/useHotkeys';
import { absolute, resolveRange } from '@/shared/time/range';
import { TimeBar } from '@/shared/time/TimeBar';
import type { TimeControls } from '@/shared/time/useTime';
import { CopyButton } from '@/shared/ui/CopyButton';
import { copyText } from '@/shared/ui/clipboard';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import { Page } from '@/shared/ui/Page';
import { EVEN_SHARE, exploreSearch, MOST_PANES, type Pane } from '@/shared/url/panes';
import css from './Explore.module.css';
import { ExplorePane } from './ExplorePane';
import { Split } from './Split';
import { linkTo } from './shortLink';
import { usePanes } from './usePanes';

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
  const insert = (expr: string) => {
    const pane = panes[target] ?? panes[0];
    if (!pane) return;
    const empty = pane.queries.findIndex((q) => q.expr.trim() === '');
    const at = empty >= 0 ? empty : pane.queries.length - 1;
    const queries = pane.queries.map((q, i) => (i === at ? { ...q, expr } : q));
    setPane(target)({ ...pane, queries });
    setBox(null);
  };

  const rows = [panes.slice(0, 2), panes.slice(2, 4)].filter((row) => row.length > 0);
  const paneView = (pane: Pane, index: number) => (
    <ExplorePane
      key={pane.id}
      pane={pane}
      time={time}
      first={index === 0}
      several={panes.length > 1}
      onChange={setPane(index)}
      onRunAgain={time.refreshNow}
      onFocus={() => setTarget(index)}
      onBusy={(on) => setBusy((b) => (b[pane.id] === on ? b : { ...b, [pane.id]: on }))}
      onClose={panes.length > 1 ? () => change(panes.filter((_, i) => i !== index)) : undefined}
    />
  );

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
      <Suspense>
        {box === 'browser' && <MetricsBrowser onPick={insert} onClose={() => setBox(null)} />}
        {box === 'history' && <HistoryDialog onPick={insert} onClose={() => setBox(null)} zone={time.zone} />}
      </Suspense>
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
