// SPDX-License-Identifier: Apache-2.0
import { IconChartLine, IconCompass, IconTable } from '@tabler/icons-react';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { CompareControl } from '../time/CompareControl';
import { absolute, zoomOut } from '../time/range';
import type { TimeControls } from '../time/useTime';
import { DataRegion } from '../ui/DataRegion';
import { IconButton } from '../ui/IconButton';
import { Panel } from '../ui/Panel';
import type { Unit } from '../units/format';
import { type PageState, readPage, writePage } from '../url/page';
import { emptyPane, emptyQuery, exploreSearch } from '../url/panes';
import css from './ChartPanel.module.css';
import type { ChartMode } from './options';
import { TimeChart } from './TimeChart';
import { useOwnComparison, usePanelTime } from './useComparison';
import { type PanelQuery, usePanelSource } from './usePanelSource';

interface Props {
  id: string;
  title: string;
  aside?: string | undefined;
  queries: readonly PanelQuery[];
  time: TimeControls;
  unit: Unit;
  mode?: ChartMode;
  min?: number;
  max?: number;
  height?: number;
}

/** Legend toggles, "as table" and comparison of a panel, in `hide`, `table` and `versus` of the URL. */
function usePanelUrlState(id: string) {
  const page = readPage(useSearch({ strict: false }) as Record<string, unknown>);
  const navigate = useNavigate();
  const hideText = page.hide.filter((h) => h.startsWith(`${id}.`)).join();
  const hidden = useMemo(
    () => new Set(hideText === '' ? [] : hideText.split(',').map((h) => h.slice(id.length + 1))),
    [hideText, id],
  );
  const change = (next: (page: PageState) => PageState) =>
    void navigate({
      to: '.',
      replace: true,
      resetScroll: false,
      search: ((previous: Record<string, unknown>) => ({
        ...previous,
        ...writePage(next(readPage(previous))),
      })) as never,
    });
  return {
    hidden,
    asTable: page.table.includes(id),
    versus: page.versus.find((v) => v.startsWith(`${id}.`))?.slice(id.length + 1) ?? '',
    setHidden: (off: ReadonlySet<string>) =>
      change((p) => ({
        ...p,
        hide: [...p.hide.filter((h) => !h.startsWith(`${id}.`)), ...[...off].map((s) => `${id}.${s}`)],
      })),
    setVersus: (compare: string) =>
      change((p) => ({
        ...p,
        versus: [...p.versus.filter((v) => !v.startsWith(`${id}.`)), ...(compare === '' ? [] : [`${id}.${compare}`])],
      })),
    setAsTable: (on: boolean) =>
      change((p) => ({ ...p, table: [...p.table.filter((other) => other !== id), ...(on ? [id] : [])] })),
  };
}

/** One chart of a page: queries in, panel out, with its states and its way to Explore. */
export function ChartPanel({ id, title, aside, queries, time, unit, mode = 'line', min, max, height = 190 }: Props) {
  const { t } = useTranslation();
  const { hidden, asTable, versus, setHidden, setAsTable, setVersus } = usePanelUrlState(id);
  const own = useOwnComparison(time, versus);
  const { source, state } = usePanelSource(queries, usePanelTime(own), t('chart.noData'));
  const navigate = useNavigate();
  const fixed =
    state.kind === 'empty'
      ? { ...state, fixes: [{ label: t('time.zoomOut'), run: () => time.setRange(absolute(zoomOut(time.range))) }] }
      : state;
  const search = { timezone: time.zone === 'browser' ? undefined : time.zone };
  const pane = {
    ...emptyPane('a'),
    queries: queries.map((q, i) => emptyQuery(i, q.expr)),
    range: time.raw,
    compare: own.compare,
  };
  return (
    <Panel
      title={title}
      aside={aside}
      actions={
        <>
          <CompareControl time={{ compare: own.compare, setCompare: setVersus }} panel={title} />
          <IconButton
            label={asTable ? t('chart.asChart') : t('chart.asTable')}
            icon={asTable ? <IconChartLine aria-hidden /> : <IconTable aria-hidden />}
            onClick={() => setAsTable(!asTable)}
          />
          <Link
            to="/explore"
            search={{ ...exploreSearch([pane]), ...search } as never}
            className={css.link}
            aria-label={t('chart.explore', { title })}
            title={t('chart.explore', { title })}
          >
            <IconCompass size={16} aria-hidden />
          </Link>
        </>
      }
    >
      <DataRegion state={fixed} minHeight={height + 28}>
        <TimeChart
          title={title}
          source={source}
          unit={unit}
          mode={mode}
          zone={time.zone}
          height={height}
          hidden={hidden}
          asTable={asTable}
          onHiddenChange={setHidden}
          onZoom={(range) => time.setRange(absolute(range))}
          onZoomOut={() => time.setRange(absolute(zoomOut(time.range)))}
          syncKey="page"
          actions={{
            more: () => [
              {
                label: t('chart.explore', { title }),
                run: () => void navigate({ to: '/explore', search: { ...exploreSearch([pane]), ...search } as never }),
              },
            ],
          }}
          {...(min === undefined ? {} : { min })}
          {...(max === undefined ? {} : { max })}
        />
      </DataRegion>
    </Panel>
  );
}
