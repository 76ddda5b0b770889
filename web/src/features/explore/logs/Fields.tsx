// SPDX-License-Identifier: Apache-2.0
import { IconChevronDown, IconChevronRight, IconZoomIn, IconZoomOut } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Range } from '@/shared/time/range';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { IconButton } from '@/shared/ui/IconButton';
import { Panel } from '@/shared/ui/Panel';
import { formatValue } from '@/shared/units/format';
import { PanelName } from '../results/PanelName';
import { detectedFields, logInstant, logSeries, nsOf } from './api';
import css from './Logs.module.css';
import { fieldCounts, withField, withStreamLabel } from './logql';

const MOST_VALUES = 15;
const SECRET = /^__/;

interface Props {
  pane: string;
  logPart: string;
  selector: string;
  range: Range;
  onQuery: (change: (expr: string) => string) => void;
}

interface Field {
  name: string;
  /** A label of streams, or a field that a parser finds in lines (null: one that needs no parser). */
  of: 'label' | 'line';
  parser: 'json' | 'logfmt' | null;
  type: string;
  cardinality: number;
}

async function fieldsOf(props: Pick<Props, 'logPart' | 'selector' | 'range'>, signal: AbortSignal): Promise<Field[]> {
  const span = { startNs: nsOf(props.range.fromMs), endNs: nsOf(props.range.toMs) };
  const [streams, found] = await Promise.all([
    logSeries(props.selector, signal, span),
    detectedFields(props.logPart, signal, span),
  ]);
  const values = new Map<string, Set<string>>();
  for (const stream of streams)
    for (const [name, value] of Object.entries(stream)) {
      if (SECRET.test(name)) continue;
      const known = values.get(name) ?? new Set();
      values.set(name, known.add(value));
    }
  const labels = [...values].map(
    ([name, set]): Field => ({ name, of: 'label', parser: null, type: 'string', cardinality: set.size }),
  );
  const fields = found.map((field): Field => {
    const parser = field.parsers?.includes('json') ? 'json' : field.parsers?.includes('logfmt') ? 'logfmt' : null;
    return { name: field.label, of: 'line', parser, type: field.type, cardinality: field.cardinality };
  });
  const byName = (a: Field, b: Field) => a.name.localeCompare(b.name);
  return [...labels.sort(byName), ...fields.filter((field) => !values.has(field.name)).sort(byName)];
}

/** What lines can be told apart by: labels and fields, how many values each has, and how often the most frequent come. */
export function Fields({ pane, logPart, selector, range, onQuery }: Props) {
  const { t } = useTranslation('explore');
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const found = useQuery({
    queryKey: ['log_fields', logPart, range.fromMs, range.toMs],
    queryFn: ({ signal }) => fieldsOf({ logPart, selector, range }, signal),
    placeholderData: (previous) => previous,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const fields = found.data ?? [];
  let state: RegionState = { kind: 'ready' };
  if (found.isPending) state = { kind: 'loading' };
  else if (found.error) state = stateOfError(found.error, () => void found.refetch());
  else if (fields.length === 0) state = { kind: 'empty', why: t('logs.none') };
  const toggle = (name: string) => {
    const next = new Set(open);
    if (!next.delete(name)) next.add(name);
    setOpen(next);
  };
  return (
    <Panel
      title={<PanelName name={t('logs.tab.fields')} pane={pane} />}
      aside={t('logs.fieldCount', { count: fields.length })}
      flush
    >
      <DataRegion state={state} minHeight={200}>
        <ul className={css.stats}>
          {fields.map((field) => (
            <li key={field.name}>
              <button
                type="button"
                className={css.stat}
                aria-expanded={open.has(field.name)}
                onClick={() => toggle(field.name)}
              >
                {open.has(field.name) ? (
                  <IconChevronDown size={14} aria-hidden />
                ) : (
                  <IconChevronRight size={14} aria-hidden />
                )}
                <span className={css.fieldName}>{field.name}</span>
                <span className={css.statKind}>
                  {field.of === 'label' ? t('logs.field.label') : field.type || t('logs.field.line')}
                </span>
                <span className={css.statCount}>
                  {t('logs.values', { count: field.cardinality, shown: formatValue(field.cardinality, 'count') })}
                </span>
              </button>
              {open.has(field.name) && <Values field={field} logPart={logPart} range={range} onQuery={onQuery} />}
            </li>
          ))}
        </ul>
      </DataRegion>
    </Panel>
  );
}

async function countsOf(logPart: string, field: Field, range: Range, signal: AbortSignal) {
  const seconds = Math.max(1, Math.ceil((range.toMs - range.fromMs) / 1000));
  const asked = fieldCounts(logPart, field.name, field.parser, seconds, MOST_VALUES);
  const [top, all] = await Promise.all([
    logInstant(asked.top, range.toMs, signal),
    logInstant(asked.all, range.toMs, signal),
  ]);
  const rows = top.resultType === 'vector' ? top.result : [];
  const total = all.resultType === 'vector' ? Number(all.result[0]?.value?.[1] ?? 0) : 0;
  const values = rows
    .map((row) => ({ value: row.metric[field.name] ?? '', count: Number(row.value?.[1] ?? 0) }))
    .sort((a, b) => b.count - a.count || a.value.localeCompare(b.value));
  return { values, total };
}

function Values({ field, logPart, range, onQuery }: Pick<Props, 'logPart' | 'range' | 'onQuery'> & { field: Field }) {
  const { t, i18n } = useTranslation('explore');
  const found = useQuery({
    queryKey: ['log_field_values', logPart, field.name, range.fromMs, range.toMs],
    queryFn: ({ signal }) => countsOf(logPart, field, range, signal),
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
    onQuery((expr) =>
      field.of === 'label'
        ? withStreamLabel(expr, field.name, value, keep)
        : withField(expr, field.name, value, keep, field.parser),
    );
  const rest = total - values.reduce((sum, row) => sum + row.count, 0);
  return (
    <DataRegion state={state} minHeight={60}>
      <ol className={css.statValues} aria-label={t('logs.valuesOf', { name: field.name })}>
        {values.map((row) => (
          <li key={row.value} className={css.statValue}>
            <span className={css.fieldButtons}>
              <IconButton
                label={t('logs.keep', { name: field.name, value: row.value })}
                icon={<IconZoomIn aria-hidden />}
                onClick={() => narrow(row.value, true)}
              />
              <IconButton
                label={t('logs.drop', { name: field.name, value: row.value })}
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
