// SPDX-License-Identifier: Apache-2.0
import { IconChartLine, IconStack2, IconTable } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { TimeChart } from '@/shared/charts/TimeChart';
import type { PanelSource } from '@/shared/charts/usePanelSource';
import { absolute, stepFor, zoomOut } from '@/shared/time/range';
import type { TimeControls } from '@/shared/time/useTime';
import { DataRegion } from '@/shared/ui/DataRegion';
import { IconButton } from '@/shared/ui/IconButton';
import { Panel } from '@/shared/ui/Panel';
import { formatValue, unitForExpression } from '@/shared/units/format';
import type { Pane } from '@/shared/url/panes';

interface Props {
  pane: Pane;
  panel: PanelSource;
  time: TimeControls;
  onChange: (pane: Pane) => void;
}

export function GraphResult({ pane, panel, time, onChange }: Props) {
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
  return (
    <Panel
      title={t('view.graph')}
      aside={
        time.live
          ? tc('refresh.live')
          : t('cost', { time: formatValue(elapsed / 1000, 'seconds'), step: formatValue(step / 1000, 'seconds') })
      }
      actions={
        <>
          <IconButton
            label={t('stack')}
            icon={<IconStack2 aria-hidden />}
            active={pane.stacked}
            onClick={() => onChange({ ...pane, stacked: !pane.stacked })}
          />
          <IconButton
            label={asTable ? tc('chart.asChart') : tc('chart.asTable')}
            icon={asTable ? <IconChartLine aria-hidden /> : <IconTable aria-hidden />}
            onClick={() => setAsTable(!asTable)}
          />
        </>
      }
    >
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
          onHiddenChange={(next) => onChange({ ...pane, hidden: [...next] })}
          onZoom={(range) => time.setRange(absolute(range))}
          onZoomOut={widen}
          syncKey="explore"
        />
      </DataRegion>
    </Panel>
  );
}
