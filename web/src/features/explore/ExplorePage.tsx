// SPDX-License-Identifier: Apache-2.0
import { IconClockShare, IconColumns2, IconHistory, IconLink, IconList } from '@tabler/icons-react';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { request } from '@/shared/api/request';
import { useHotkeys } from '@/shared/keys/useHotkeys';
import { absolute } from '@/shared/time/range';
import { TimeBar } from '@/shared/time/TimeBar';
import { CopyButton } from '@/shared/ui/CopyButton';
import { copyText } from '@/shared/ui/clipboard';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import { Page } from '@/shared/ui/Page';
import { exploreSearch, type Pane } from '@/shared/url/panes';
import { stringifySearch } from '@/shared/url/search';
import css from './Explore.module.css';
import { ExplorePane } from './ExplorePane';
import { usePanes } from './usePanes';

const MetricsBrowser = lazy(() => import('./MetricsBrowser'));
const HistoryDialog = lazy(() => import('./HistoryDialog'));

const LONGEST_LINK = 8000;

/** A link to this state; long ones are kept by the server under a short name. */
async function linkTo(search: Record<string, unknown>): Promise<string> {
  const path = `explore${stringifySearch(search)}`;
  if (path.length <= LONGEST_LINK) return `${location.origin}${boot.basePath}/${path}`;
  const { uid } = await request<{ uid: string }>('/api/short-urls', { method: 'POST', json: { path } });
  return `${location.origin}${boot.basePath}/goto/${uid}`;
}

export function ExplorePage() {
  const { t } = useTranslation('explore');
  const { t: tc } = useTranslation('common');
  const { panes, broken, time, change } = usePanes();
  const [box, setBox] = useState<'browser' | 'history' | null>(null);
  const [target, setTarget] = useState(0);
  const [busy, setBusy] = useState<Record<string, boolean>>({});

  const search = (fixed: boolean) => ({
    ...exploreSearch(fixed ? panes.map((p) => ({ ...p, range: absolute(time.range) })) : panes),
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
    if (last) change([...panes, { ...last, id: nextId(panes), hidden: [] }]);
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
          {panes.length < 2 && (
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
      <div className={panes.length > 1 ? css.split : css.single}>
        {panes.map((pane, index) => (
          <ExplorePane
            key={pane.id}
            pane={pane}
            time={time}
            first={index === 0}
            onChange={setPane(index)}
            onRunAgain={time.refreshNow}
            onFocus={() => setTarget(index)}
            onBusy={(on) => setBusy((b) => (b[pane.id] === on ? b : { ...b, [pane.id]: on }))}
            onClose={panes.length > 1 ? () => change(panes.filter((_, i) => i !== index)) : undefined}
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

function nextId(panes: readonly Pane[]): string {
  return ['a', 'b', 'c', 'd'].find((id) => panes.every((p) => p.id !== id)) ?? 'z';
}
