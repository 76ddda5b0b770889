// SPDX-License-Identifier: Apache-2.0
import { useVirtualizer } from '@tanstack/react-virtual';
import { type CSSProperties, type MouseEvent, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { seriesColour } from '../theme';
import { formatValue, type Unit } from '../units/format';
import css from './Chart.module.css';
import { type ChartModel, type SeriesModel, statsOf } from './model';

interface Props {
  model: ChartModel;
  hidden: ReadonlySet<string>;
  unit: Unit;
  kind: 'list' | 'table';
  onChange: (hidden: ReadonlySet<string>) => void;
  onHover: (index: number | null) => void;
}

/** Click shows one series alone, a second click shows all again; Ctrl-click or Shift-click toggles one. */
export function nextHidden(
  all: readonly string[],
  hidden: ReadonlySet<string>,
  id: string,
  toggle: boolean,
): ReadonlySet<string> {
  const next = new Set([...hidden].filter((h) => all.includes(h)));
  if (toggle) {
    if (!next.delete(id)) next.add(id);
    return next.size === all.length ? new Set() : next;
  }
  const alone = !next.has(id) && next.size === all.length - 1;
  return alone || all.length === 1 ? new Set() : new Set(all.filter((other) => other !== id));
}

const VIRTUAL_FROM = 40;

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
      data-dashed={series.slot >= 12 ? '' : undefined}
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
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: model.series.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 26,
    overscan: 8,
    initialRect: { width: 800, height: 208 },
  });
  return (
    <div className={css.legendTable}>
      <div className={css.legendHead} aria-hidden>
        <span>{t('chart.series')}</span>
        <span>{t('chart.last')}</span>
        <span>{t('chart.min')}</span>
        <span>{t('chart.mean')}</span>
        <span>{t('chart.max')}</span>
      </div>
      <div ref={scroller} className={css.legendScroll}>
        <ul style={{ height: rows.getTotalSize() }} className={css.legendRows} onMouseLeave={() => props.onHover(null)}>
          {rows.getVirtualItems().map((item) => {
            const series = model.series[item.index];
            if (!series) return null;
            const stats = statsOf(series.values);
            return (
              <li key={series.id} className={css.legendRow} style={{ transform: `translateY(${item.start}px)` }}>
                <LegendButton {...props} series={series} index={item.index} />
                {[stats.last, stats.min, stats.mean, stats.max].map((value, k) => (
                  <span key={k} className={css.legendValue}>
                    {formatValue(value, unit)}
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
