// SPDX-License-Identifier: Apache-2.0
import { useVirtualizer } from '@tanstack/react-virtual';
import { type CSSProperties, type MouseEvent, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { seriesColour } from '../theme';
import { formatValue, type Unit } from '../units/format';
import css from './Chart.module.css';
import { type Calc, legendOrder, nextHidden, nextSort, type Sort, statsFor } from './legendModel';
import type { ChartModel, SeriesModel } from './model';

interface Props {
  model: ChartModel;
  hidden: ReadonlySet<string>;
  unit: Unit;
  kind: 'list' | 'table';
  onChange: (hidden: ReadonlySet<string>) => void;
  onHover: (index: number | null) => void;
}

const VIRTUAL_FROM = 40;
/** As in the style sheet: a finger needs more room than a pointer. */
const rowHeight = () => (matchMedia('(pointer: coarse)').matches ? 44 : 26);
const CALCS: readonly Calc[] = ['last', 'min', 'mean', 'max'];

export function Legend(props: Props) {
  const { model, kind } = props;
  if (model.series.length === 0) return <div className={css.legend} />;
  if (kind === 'list' && model.series.length <= VIRTUAL_FROM)
    return (
      <ul className={css.legend} onMouseLeave={() => props.onHover(null)}>
        {model.series.map((series, index) => (
          <li key={series.id}>
            <LegendButton {...props} series={series} index={index} />
          </li>
        ))}
      </ul>
    );
  return <LegendRows {...props} />;
}

function LegendButton(props: Props & { series: SeriesModel; index: number }) {
  const { series, index, hidden, model, onChange, onHover } = props;
  const { t } = useTranslation();
  const off = hidden.has(series.id);
  const click = (event: MouseEvent) =>
    onChange(
      nextHidden(
        model.series.map((s) => s.id),
        hidden,
        series.id,
        event.ctrlKey || event.metaKey || event.shiftKey,
      ),
    );
  const style = { '--swatch': seriesColour(series.slot) } as CSSProperties;
  return (
    <button
      type="button"
      className={css.legendItem}
      style={style}
      aria-pressed={!off}
      title={`${series.name}\n${t('chart.legendHint')}`}
      data-dashed={series.slot >= 12 || series.ghost ? '' : undefined}
      onClick={click}
      onMouseEnter={() => onHover(off ? null : index)}
      onFocus={() => onHover(off ? null : index)}
      onBlur={() => onHover(null)}
    >
      <span className={css.legendSwatch} aria-hidden />
      <span className={css.legendName}>{series.name}</span>
    </button>
  );
}

/** One row per series with its figures; only rows in sight exist, so a thousand series cost nothing. */
function LegendRows(props: Props) {
  const { model, unit } = props;
  const { t } = useTranslation();
  const [sort, setSort] = useState<Sort | null>(null);
  const order = useMemo(() => legendOrder(model, sort), [model, sort]);
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: order.length,
    getScrollElement: () => scroller.current,
    estimateSize: rowHeight,
    overscan: 8,
    initialRect: { width: 800, height: 208 },
  });
  const head = (by: Sort['by'], label: string) => {
    const arrow = sort?.by === by ? (sort.down ? '↓' : '↑') : '';
    const state = sort?.by === by ? t(sort.down ? 'chart.sortedDown' : 'chart.sortedUp') : '';
    return (
      <button type="button" onClick={() => setSort(nextSort(sort, by))} title={t('chart.sortBy', { column: label })}>
        {label}
        <span aria-hidden>{arrow}</span>
        {state && <span className="sr-only">{state}</span>}
      </button>
    );
  };
  return (
    <div className={css.legendTable}>
      <div className={css.legendHead}>
        {head('name', t('chart.series'))}
        {head('last', t('chart.last'))}
        {head('min', t('chart.min'))}
        {head('mean', t('chart.mean'))}
        {head('max', t('chart.max'))}
      </div>
      <div ref={scroller} className={css.legendScroll}>
        <ul style={{ height: rows.getTotalSize() }} className={css.legendRows} onMouseLeave={() => props.onHover(null)}>
          {rows.getVirtualItems().map((item) => {
            const index = order[item.index] as number;
            const series = model.series[index];
            if (!series) return null;
            const stats = statsFor(series);
            return (
              <li key={series.id} className={css.legendRow} style={{ transform: `translateY(${item.start}px)` }}>
                <LegendButton {...props} series={series} index={index} />
                {CALCS.map((calc) => (
                  <span key={calc} className={css.legendValue}>
                    {formatValue(stats[calc], unit)}
                  </span>
                ))}
              </li>
            );
          })}
        </ul>
      </div>
    </div>
  );
}
