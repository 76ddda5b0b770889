// SPDX-License-Identifier: Apache-2.0
import { formatValue } from '../units/format';
import css from './Meter.module.css';

/** A share between 0 and 1 as bar and number. The number carries the meaning; the colour repeats it. */
export function Meter({ value, label }: { value: number | null | undefined; label: string }) {
  if (value === null || value === undefined || Number.isNaN(value)) return <span className={css.none}>–</span>;
  const level = value >= 0.95 ? css.critical : value >= 0.85 ? css.warning : css.calm;
  return (
    <div className={css.meter}>
      <div
        className={css.track}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(value * 100)}
      >
        <div className={`${css.fill} ${level}`} style={{ inlineSize: `${Math.min(100, Math.max(0, value * 100))}%` }} />
      </div>
      <span className={css.number}>{formatValue(value, 'percentunit')}</span>
    </div>
  );
}
