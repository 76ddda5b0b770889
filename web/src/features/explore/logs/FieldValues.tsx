// SPDX-License-Identifier: Apache-2.0
import { IconZoomIn, IconZoomOut } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import type { Range } from '@/shared/time/range';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { IconButton } from '@/shared/ui/IconButton';
import { formatValue } from '@/shared/units/format';
import { countValues, type Parser } from './fields';
import css from './Logs.module.css';
import { withField, withStreamLabel } from './logql';

interface Props {
  name: string;
  /** A label of streams; else a field of the lines. */
  label: boolean;
  parser: Parser;
  logPart: string;
  /** The query that is counted, where the pane has several. */
  of: string | null;
  range: Range;
  onQuery: (change: (expr: string) => string) => void;
}

/** The most frequent values of a label or field in the lines of one query. */
export function FieldValues({ name, label, parser, logPart, of, range, onQuery }: Props) {
  const { t, i18n } = useTranslation('explore');
  const found = useQuery({
    queryKey: ['log_field_values', logPart, name, parser, range.fromMs, range.toMs],
    queryFn: ({ signal }) => countValues(logPart, name, parser, range, signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const percent = useMemo(
    () => new Intl.NumberFormat(i18n.language, { style: 'percent', maximumFractionDigits: 1 }),
    [i18n.language],
  );
  let state: RegionState = { kind: 'ready' };
  if (found.isPending) state = { kind: 'loading' };
  else if (found.error) state = stateOfError(found.error, () => void found.refetch());
  else if (found.data.values.length === 0) state = { kind: 'empty', why: t('logs.valuesNone') };
  const { values = [], total = 0 } = found.data ?? {};
  const narrow = (value: string, keep: boolean) =>
    onQuery((expr) => (label ? withStreamLabel(expr, name, value, keep) : withField(expr, name, value, keep, parser)));
  const rest = total - values.reduce((sum, row) => sum + row.count, 0);
  return (
    <DataRegion state={state} minHeight={60}>
      <ol
        className={css.statValues}
        aria-label={of === null ? t('logs.valuesOf', { name }) : t('logs.valuesOfIn', { name, query: of })}
      >
        {values.map((row) => (
          <li key={row.value} className={css.statValue}>
            <span className={css.fieldButtons}>
              <IconButton
                label={t('logs.keep', { name, value: row.value })}
                icon={<IconZoomIn aria-hidden />}
                onClick={() => narrow(row.value, true)}
              />
              <IconButton
                label={t('logs.drop', { name, value: row.value })}
                icon={<IconZoomOut aria-hidden />}
                onClick={() => narrow(row.value, false)}
              />
            </span>
            <span className={css.patternCount}>
              {formatValue(row.count, 'count')}
              <meter min={0} max={total} value={row.count} aria-label={t('logs.patternShare')} />
            </span>
            <span className={css.statShare}>{percent.format(total > 0 ? row.count / total : 0)}</span>
            <span className={css.fieldValue}>{row.value}</span>
          </li>
        ))}
        {rest > 0 && (
          <li className={css.statRest}>{t('logs.valuesRest', { count: rest, shown: formatValue(rest, 'count') })}</li>
        )}
      </ol>
    </DataRegion>
  );
}
