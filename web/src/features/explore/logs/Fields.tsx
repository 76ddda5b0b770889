// SPDX-License-Identifier: Apache-2.0
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Range } from '@/shared/time/range';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { Panel } from '@/shared/ui/Panel';
import { formatValue } from '@/shared/units/format';
import { PanelName } from '../results/PanelName';
import { FieldValues } from './FieldValues';
import { type Field, findFields, joinFields } from './fields';
import css from './Logs.module.css';
import { OfQuery } from './OfQuery';
import { askAll, type Failures, useFailures } from './parts';
import type { AskedQuery } from './usePaneQueries';

interface Props {
  pane: string;
  queries: readonly AskedQuery[];
  range: Range;
  onQuery: (change: (expr: string) => string, only?: readonly string[]) => void;
  onFailures: (failures: Failures) => void;
}

/** What lines can be told apart by: labels and fields, how many values each has, and how often the most frequent come. */
export function Fields({ pane, queries, range, onQuery, onFailures }: Props) {
  const { t } = useTranslation('explore');
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const found = useQuery({
    queryKey: ['log_fields', queries.map(({ refId, expr }) => [refId, expr]), range.fromMs, range.toMs],
    queryFn: ({ signal }) =>
      askAll(
        queries,
        (expr) => {
          const { asked } = queries.find((query) => query.expr === expr) as AskedQuery;
          return findFields(asked, range, signal);
        },
        signal,
      ),
    placeholderData: (previous) => previous,
    staleTime: Number.POSITIVE_INFINITY,
  });
  useFailures(queries, null, found.data, onFailures);
  const fields = useMemo(() => joinFields(found.data ?? []), [found.data]);
  let state: RegionState = { kind: 'ready' };
  if (found.isPending) state = { kind: 'loading' };
  else if (found.error) state = stateOfError(found.error, () => void found.refetch());
  else if (found.data.every((part) => part.error)) state = { kind: 'empty', why: t('failedAbove') };
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
              <FieldRow field={field} open={open.has(field.name)} onToggle={() => toggle(field.name)} />
              {open.has(field.name) &&
                queries.map((query) => {
                  const parser = field.queries.get(query.refId);
                  if (parser === undefined) return null;
                  return (
                    <div key={query.refId}>
                      {queries.length > 1 && <OfQuery refIds={[query.refId]} expr={query.asked.logPart} />}
                      <FieldValues
                        name={field.name}
                        label={field.of === 'label' && parser === null}
                        parser={parser}
                        logPart={query.asked.logPart}
                        of={queries.length > 1 ? query.refId : null}
                        range={range}
                        onQuery={(change) => onQuery(change, [query.refId])}
                      />
                    </div>
                  );
                })}
            </li>
          ))}
        </ul>
      </DataRegion>
    </Panel>
  );
}

function FieldRow({ field, open, onToggle }: { field: Field; open: boolean; onToggle: () => void }) {
  const { t } = useTranslation('explore');
  const count = field.cardinality;
  return (
    <button type="button" className={css.stat} aria-expanded={open} onClick={onToggle}>
      {open ? <IconChevronDown size={14} aria-hidden /> : <IconChevronRight size={14} aria-hidden />}
      <span className={css.fieldName}>{field.name}</span>
      <span className={css.statKind}>
        {field.of === 'label' ? t('logs.field.label') : field.type || t('logs.field.line')}
      </span>
      <span className={css.statCount}>{t('logs.values', { count, shown: formatValue(count, 'count') })}</span>
    </button>
  );
}
