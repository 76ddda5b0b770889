// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import {
  IconBraces,
  IconDownload,
  IconPalette,
  IconSortAscending,
  IconSortDescending,
  IconTextWrap,
} from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { absolute, zoomOut } from '@/shared/time/range';
import type { TimeControls } from '@/shared/time/useTime';
import { DataRegion, type RegionState } from '@/shared/ui/DataRegion';
import { Dropdown } from '@/shared/ui/Dropdown';
import { IconButton } from '@/shared/ui/IconButton';
import { MenuList } from '@/shared/ui/MenuList';
import { Panel } from '@/shared/ui/Panel';
import type { LogView } from '@/shared/url/panes';
import { PanelName } from '../results/PanelName';
import { type LinesAnswer, nsOf, queryLines } from './api';
import { downloadLines, FILE_KINDS } from './download';
import { type LineActions, LogDetail } from './LogDetail';
import { LogRows } from './LogRows';
import css from './Logs.module.css';
import { hasAnsi, joinPages, type LogLine, shiftNs } from './lines';
import { type Asked, askAll, type Failures, mergeLines, type Part, useFailures } from './parts';

const PAGE = 1000;

interface Props {
  pane: string;
  queries: readonly Asked[];
  words: readonly string[];
  time: TimeControls;
  look: LogView;
  onLook: (change: Partial<LogView>) => void;
  actions: LineActions;
  onFailures: (failures: Failures) => void;
  onBusy: (busy: boolean) => void;
}

/** The instant to go on from, with that instant once more: its other lines may have been cut off. */
function nextCursor(last: LinesAnswer, oldest: boolean, before: string | null): string | null {
  const edge = oldest ? last.lines.at(-1) : last.lines[0];
  if (!last.more || !edge) return null;
  const next = oldest ? edge.ns : shiftNs(edge.ns, 1n);
  // More lines of one instant than fit into an answer: the rest of them cannot be had, the next instant can.
  return next === before ? shiftNs(edge.ns, oldest ? 1n : 0n) : next;
}

interface LinesPage extends LinesAnswer {
  parts: Part<LinesAnswer>[];
}

function useLines(queries: readonly Asked[], time: TimeControls, oldest: boolean) {
  const [startNs, endNs] = [nsOf(time.range.fromMs), nsOf(time.range.toMs)];
  return useInfiniteQuery({
    queryKey: ['log_lines', queries.map((query) => [query.refId, query.expr]), startNs, endNs, oldest],
    queryFn: async ({ pageParam, signal }): Promise<LinesPage> => {
      const span = {
        startNs: oldest ? (pageParam ?? startNs) : startNs,
        endNs: oldest ? endNs : (pageParam ?? endNs),
        limit: PAGE,
        oldest,
      };
      const parts = await askAll(queries, (query) => queryLines({ ...span, query }, signal), signal);
      const answers = parts.flatMap((part) => (part.value ? [part.value] : []));
      return { ...mergeLines(answers, oldest), parts };
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last, _all, param) => nextCursor(last, oldest, param),
    placeholderData: (previous) => previous,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

export function LinesResult(props: Props) {
  const { pane, queries, words, time, look, onLook, actions, onFailures, onBusy } = props;
  const found = useLines(queries, time, look.oldestFirst);
  const { error, isFetching } = found;
  const parts = useMemo(() => found.data?.pages.flatMap((page) => page.parts), [found.data]);
  useFailures(queries, error, parts, onFailures);
  const failed = error !== null || (parts?.every((part) => part.error) ?? false);
  useEffect(() => onBusy(isFetching), [isFetching, onBusy]);
  const latest = useRef(onBusy);
  latest.current = onBusy;
  useEffect(() => () => latest.current(false), []);
  const { t } = useTranslation('explore');
  const { t: tc } = useTranslation('common');
  const { oldestFirst } = look;
  const lines = useMemo(() => {
    const pages = (found.data?.pages ?? []).map((page) => page.lines);
    const all = joinPages(pages, oldestFirst);
    return oldestFirst ? all : all.reverse();
  }, [found.data, oldestFirst]);
  let state: RegionState = { kind: 'ready' };
  if (lines.length === 0) {
    if (found.isPending) state = { kind: 'loading' };
    else if (failed) state = { kind: 'empty', why: t('failedAbove') };
    else
      state = {
        kind: 'empty',
        why: t('logs.none'),
        fixes: [{ label: tc('time.zoomOut'), run: () => time.setRange(absolute(zoomOut(time.range))) }],
      };
  }
  return (
    <Panel
      title={<PanelName name={t('logs.tab.lines')} pane={pane} />}
      aside={t(found.hasNextPage ? 'logs.countMore' : 'logs.count', { count: lines.length })}
      actions={<LookButtons look={look} onLook={onLook} lines={lines} />}
      flush
    >
      <DataRegion state={state} minHeight={240}>
        <LogRows
          key={queries.map((query) => query.expr).join('\n')}
          lines={lines}
          title={t('logs.lines')}
          zone={time.zone}
          look={look}
          words={words}
          detail={(line) => <LogDetail line={line} actions={actions} />}
        />
        {found.hasNextPage && (
          <div className={css.more}>
            <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
              {t(oldestFirst ? 'logs.moreNewer' : 'logs.moreOlder')}
            </Button>
          </div>
        )}
      </DataRegion>
    </Panel>
  );
}

function DownloadButton({ lines }: { lines: readonly LogLine[] }) {
  const { t } = useTranslation('explore');
  if (lines.length === 0) return null;
  return (
    <Dropdown
      label={t('logs.download')}
      trigger={<IconDownload size={18} aria-hidden />}
      triggerClass={css.menu}
      align="end"
    >
      {(close) => (
        <MenuList
          label={t('logs.download')}
          items={FILE_KINDS.map((kind) => ({
            key: kind,
            label: t(`logs.download.${kind}`),
            run: () => {
              downloadLines(lines, kind);
              close();
            },
          }))}
        />
      )}
    </Dropdown>
  );
}

interface LookProps {
  look: LogView;
  onLook: Props['onLook'];
  lines: readonly LogLine[];
  tail?: boolean;
}

export function LookButtons({ look, onLook, lines, tail }: LookProps) {
  const { t } = useTranslation('explore');
  const coloured = useMemo(() => lines.some((line) => hasAnsi(line.text)), [lines]);
  return (
    <>
      {!tail && (
        <IconButton
          label={look.oldestFirst ? t('logs.oldestFirst') : t('logs.newestFirst')}
          icon={look.oldestFirst ? <IconSortAscending aria-hidden /> : <IconSortDescending aria-hidden />}
          onClick={() => onLook({ oldestFirst: !look.oldestFirst })}
        />
      )}
      <IconButton
        label={t('logs.wrap')}
        icon={<IconTextWrap aria-hidden />}
        active={look.wrap}
        onClick={() => onLook({ wrap: !look.wrap })}
      />
      <IconButton
        label={t('logs.pretty')}
        icon={<IconBraces aria-hidden />}
        active={look.pretty}
        onClick={() => onLook({ pretty: !look.pretty })}
      />
      <DownloadButton lines={lines} />
      {coloured && (
        <IconButton
          label={t('logs.ansi')}
          icon={<IconPalette aria-hidden />}
          active={look.ansi}
          onClick={() => onLook({ ansi: !look.ansi })}
        />
      )}
    </>
  );
}
