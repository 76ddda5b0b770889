// SPDX-License-Identifier: Apache-2.0
import { IconChartLine, IconCompass, IconTable } from '@tabler/icons-react';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { absolute, zoomOut } from '../time/range';
import type { TimeControls } from '../time/useTime';
import { DataRegion } from '../ui/DataRegion';
import { IconButton } from '../ui/IconButton';
import { Panel } from '../ui/Panel';
import type { Unit } from '../units/format';
import { emptyPane, emptyQuery, exploreSearch } from '../url/panes';
import css from './ChartPanel.module.css';
import type { ChartMode } from './options';
import { TimeChart } from './TimeChart';
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

const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : value ? [String(value)] : []);

/** Legend toggles and "as table" of a panel, in `hide` and `table` of the URL. */
function usePanelUrlState(id: string) {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const hideText = list(search.hide)
    .filter((h) => h.startsWith(`${id}.`))
    .join();
  const hidden = useMemo(
    () => new Set(hideText === '' ? [] : hideText.split(',').map((h) => h.slice(id.length + 1))),
    [hideText, id],
  );
  const asTable = list(search.table).includes(id);
  const change = (key: 'hide' | 'table', own: (entry: string) => boolean, next: string[]) =>
    void navigate({
      to: '.',
      replace: true,
      resetScroll: false,
      search: ((previous: Record<string, unknown>) => {
        const entries = [...list(previous[key]).filter((entry) => !own(entry)), ...next];
        return { ...previous, [key]: entries.length > 0 ? entries : undefined };
      }) as never,
    });
  return {
    hidden,
    asTable,
    setHidden: (next: ReadonlySet<string>) =>
      change(
        'hide',
        (h) => h.startsWith(`${id}.`),
        [...next].map((s) => `${id}.${s}`),
      ),
    setAsTable: (on: boolean) => change('table', (entry) => entry === id, on ? [id] : []),
  };
}

/** One chart of a page: queries in, panel out, with its states and its way to Explore. */
export function ChartPanel({ id, title, aside, queries, time, unit, mode = 'line', min, max, height = 190 }: Props) {
  const { t } = useTranslation();
  const { hidden, asTable, setHidden, setAsTable } = usePanelUrlState(id);
  const { source, state } = usePanelSource(queries, time.range, time.live, t('chart.noData'));
  const fixed =
    state.kind === 'empty'
      ? { ...state, fixes: [{ label: t('time.zoomOut'), run: () => time.setRange(absolute(zoomOut(time.range))) }] }
      : state;
  const pane = { ...emptyPane('a'), queries: queries.map((q, i) => emptyQuery(i, q.expr)), range: time.raw };
  return (
    <Panel
      title={title}
      aside={aside}
      actions={
        <>
          <IconButton
            label={asTable ? t('chart.asChart') : t('chart.asTable')}
            icon={asTable ? <IconChartLine aria-hidden /> : <IconTable aria-hidden />}
            onClick={() => setAsTable(!asTable)}
          />
          <Link
            to="/explore"
            search={{ ...exploreSearch([pane]), timezone: time.zone === 'browser' ? undefined : time.zone } as never}
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
          {...(min === undefined ? {} : { min })}
          {...(max === undefined ? {} : { max })}
        />
      </DataRegion>
    </Panel>
  );
}
