// SPDX-License-Identifier: Apache-2.0
import { IconChartLine, IconMessage, IconStack2, IconTable } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Labels, seriesName } from '@/shared/api/prom';
import { TimeChart } from '@/shared/charts/TimeChart';
import { setTooltipPrefs, TOOLTIP_MODES, TOOLTIP_SORTS, tooltipPrefs } from '@/shared/charts/tooltipPrefs';
import type { PanelSource } from '@/shared/charts/usePanelSource';
import { useStore } from '@/shared/store';
import { absolute, stepFor, zoomOut } from '@/shared/time/range';
import type { TimeControls } from '@/shared/time/useTime';
import { copyText } from '@/shared/ui/clipboard';
import { DataRegion } from '@/shared/ui/DataRegion';
import { Dropdown } from '@/shared/ui/Dropdown';
import { IconButton } from '@/shared/ui/IconButton';
import { MenuList } from '@/shared/ui/MenuList';
import { Message } from '@/shared/ui/Message';
import { Panel } from '@/shared/ui/Panel';
import { formatValue, unitForExpression } from '@/shared/units/format';
import type { Pane } from '@/shared/url/panes';
import css from '../Explore.module.css';
import { PanelName } from './PanelName';

interface Props {
  pane: Pane;
  panel: PanelSource;
  time: TimeControls;
  onChange: (pane: Pane, options?: { replace?: boolean }) => void;
  onLogs: (selector: string) => void;
}

const quiet = { replace: true };

export function GraphResult({ pane, panel, time, onChange, onLogs }: Props) {
  const { t } = useTranslation('explore');
  const { t: tc } = useTranslation('common');
  const [asTable, setAsTable] = useState(false);
  const hidden = useMemo(() => new Set(pane.hidden), [pane.hidden]);
  const units = new Set(
    pane.queries.filter((q) => !q.hide && q.expr.trim() !== '').map((q) => unitForExpression(q.expr)),
  );
  const unit = units.size === 1 ? ([...units][0] ?? 'short') : 'short';
  const widen = () => time.setRange(absolute(zoomOut(time.range)));
  // A query that failed says so in its row: here the rest is drawn, or nothing.
  const state =
    panel.state.kind === 'error'
      ? ({ kind: 'empty', why: t('failedAbove') } as const)
      : panel.state.kind === 'partial'
        ? ({ kind: 'partial', failures: panel.state.failures } as const)
        : panel.state.kind === 'empty'
          ? { ...panel.state, fixes: [{ label: tc('time.zoomOut'), run: widen }] }
          : panel.state;
  const elapsed = Math.max(0, ...Object.values(panel.outcomes).map((o) => o.elapsedMs ?? 0));
  const step = stepFor(time.range.toMs - time.range.fromMs, time.live ? 600 : 640);
  /** Every query of the pane that runs is narrowed: what is drawn came from them together. */
  const filter = async (label: string, value: string, keep: boolean) => {
    const { withMatcher } = await import('../matchers');
    const queries = pane.queries.map((q) => (q.hide ? q : { ...q, expr: withMatcher(q.expr, label, value, keep) }));
    onChange({ ...pane, queries, hidden: [] });
  };
  const logsOf = async (labels: Labels) => {
    const { logsLike } = await import('../bridge');
    const found = await logsLike(labels).catch(() => null);
    if (found) onLogs(found);
    setNoLogs(found === null);
  };
  const [noLogs, setNoLogs] = useState(false);
  return (
    <Panel
      title={<PanelName name={t('view.graph')} pane={pane.id} />}
      aside={
        time.live
          ? tc('refresh.live')
          : panel.state.kind !== 'error' &&
            t('cost', { time: formatValue(elapsed / 1000, 'seconds'), step: formatValue(step / 1000, 'seconds') })
      }
      actions={
        <>
          <IconButton
            label={t('stack')}
            icon={<IconStack2 aria-hidden />}
            active={pane.stacked}
            onClick={() => onChange({ ...pane, stacked: !pane.stacked }, quiet)}
          />
          <TooltipChoice />
          <IconButton
            label={asTable ? tc('chart.asChart') : tc('chart.asTable')}
            icon={asTable ? <IconChartLine aria-hidden /> : <IconTable aria-hidden />}
            onClick={() => setAsTable(!asTable)}
          />
        </>
      }
    >
      {noLogs && <Message level="info">{t('logs.noLogs')}</Message>}
      <DataRegion state={state} minHeight={380}>
        <TimeChart
          title={pane.queries.map((q) => q.expr).join(', ')}
          source={panel.source}
          unit={unit}
          mode={pane.stacked ? 'stack' : 'line'}
          zone={time.zone}
          height={340}
          hidden={hidden}
          asTable={asTable}
          legend="table"
          onHiddenChange={(next) => onChange({ ...pane, hidden: [...next] }, quiet)}
          onZoom={(range) => time.setRange(absolute(range))}
          onZoomOut={widen}
          syncKey="explore"
          actions={{
            filter: (label, value, keep) => void filter(label, value, keep),
            more: (series) => [
              { label: t('onlySeries'), run: () => onChange(onlySeries(pane, series.labels)) },
              { label: t('logs.toLogs'), run: () => void logsOf(series.labels) },
              { label: t('copyName'), run: () => void copyText(series.name) },
            ],
          }}
        />
      </DataRegion>
    </Panel>
  );
}

/** The pane with the metric of one series alone; a series without a name has no such query and keeps the pane as it is. */
function onlySeries(pane: Pane, labels: Labels): Pane {
  const first = pane.queries.find((q) => !q.hide) ?? pane.queries[0];
  if (!first || labels.__name__ === undefined) return pane;
  return { ...pane, queries: [{ ...first, expr: seriesName(labels).replaceAll(', ', ',') }], hidden: [] };
}

/** How tooltips of this person's charts read. */
function TooltipChoice() {
  const { t } = useTranslation('explore');
  const { mode, sort } = useStore(tooltipPrefs);
  return (
    <Dropdown
      label={t('tooltip')}
      align="end"
      trigger={<IconMessage size={16} aria-hidden />}
      triggerClass={css.quietTrigger}
    >
      {(close) => (
        <>
          <MenuList
            label={t('tooltip')}
            items={TOOLTIP_MODES.map((choice) => ({
              key: choice,
              label: t(`tooltip.${choice}`),
              checked: choice === mode,
              run: () => {
                setTooltipPrefs({ mode: choice });
                close();
              },
            }))}
          />
          <hr className={css.menuLine} />
          <MenuList
            label={t('tooltipSort')}
            items={TOOLTIP_SORTS.map((choice) => ({
              key: choice,
              label: t(`tooltipSort.${choice}`),
              checked: choice === sort,
              run: () => {
                setTooltipPrefs({ sort: choice });
                close();
              },
            }))}
          />
        </>
      )}
    </Dropdown>
  );
}
