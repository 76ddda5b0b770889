// SPDX-License-Identifier: Apache-2.0
import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { formatStamp } from '../time/format';
import type { Zone } from '../time/zone';
import { formatValue, type Unit } from '../units/format';
import css from './Chart.module.css';
import { type ChartModel, valueAt } from './model';

interface Props {
  title: string;
  model: ChartModel;
  hidden: ReadonlySet<string>;
  unit: Unit;
  zone: Zone;
}

const ROW = 26;

/** The same points as a table, newest first. */
export function ChartTable({ title, model, hidden, unit, zone }: Props) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const series = model.series.filter((s) => !hidden.has(s.id));
  const count = model.x.length;
  const rows = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const items = rows.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = rows.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section ref={scroller} className={css.tableScroll} tabIndex={0} aria-label={t('chart.rows', { title })}>
      <table className={css.table} aria-rowcount={count}>
        <caption className="sr-only">{title}</caption>
        <thead>
          <tr>
            <th scope="col">{t('chart.time')}</th>
            {series.map((s) => (
              <th key={s.id} scope="col">
                {s.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && (
            <tr aria-hidden>
              <td style={{ height: before }} />
            </tr>
          )}
          {items.map((item) => {
            const k = count - 1 - item.index;
            return (
              <tr key={item.key}>
                <th scope="row">{formatStamp(model.x[k] ?? 0, zone)}</th>
                {series.map((s) => (
                  <td key={s.id}>{formatValue(valueAt(s, k), unit)}</td>
                ))}
              </tr>
            );
          })}
          {after > 0 && (
            <tr aria-hidden>
              <td style={{ height: after }} />
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}
