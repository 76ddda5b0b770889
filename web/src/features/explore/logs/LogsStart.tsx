// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import shared from '../Explore.module.css';
import { logLabelValues } from './api';
import css from './Logs.module.css';
import { selectorOf } from './selector';

const LABEL = 'service_name';

/** Before the first query: what sends logs, one click away. */
export function LogsStart({ onPick }: { onPick: (expr: string) => void }) {
  const { t } = useTranslation('explore');
  const found = useQuery({ queryKey: ['log_values', LABEL], queryFn: () => logLabelValues(LABEL) });
  let state: RegionState = { kind: 'ready' };
  if (found.isPending) state = { kind: 'loading' };
  else if (found.error) state = stateOfError(found.error, () => void found.refetch());
  else if (found.data.length === 0) state = { kind: 'empty', why: t('logs.nothingYet') };
  return (
    <div className={css.start}>
      <DataRegion state={state} minHeight={120}>
        <p>{t('logs.start')}</p>
        <div className={shared.chips}>
          {found.data?.slice(0, 100).map((value) => (
            <button key={value} type="button" onClick={() => onPick(selectorOf({ [LABEL]: value }))}>
              {value}
            </button>
          ))}
        </div>
      </DataRegion>
    </div>
  );
}
