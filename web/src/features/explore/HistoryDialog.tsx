// SPDX-License-Identifier: Apache-2.0
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useStore } from '@/shared/store';
import { formatStamp } from '@/shared/time/format';
import type { Zone } from '@/shared/time/zone';
import { DataRegion } from '@/shared/ui/DataRegion';
import { Dialog } from '@/shared/ui/Dialog';
import { SearchField } from '@/shared/ui/SearchField';
import type { PaneSource } from '@/shared/url/panes';
import css from './Explore.module.css';
import { pastQueries } from './queryHistory';

interface Props {
  source: PaneSource;
  onPick: (expr: string) => void;
  onClose: () => void;
  zone: Zone;
}

export default function HistoryDialog({ source, onPick, onClose, zone }: Props) {
  const { t } = useTranslation('explore');
  const [filter, setFilter] = useState('');
  const past = useStore(pastQueries).filter((q) => (q.source ?? 'metrics') === source);
  const shown = past.filter((q) => q.expr.toLowerCase().includes(filter.toLowerCase()));
  return (
    <Dialog title={t('history')} size="md" onClose={onClose}>
      <div className={css.dialogBody}>
        <SearchField label={t('historyFilter')} value={filter} onChange={setFilter} autoFocus />
        <DataRegion
          minHeight={120}
          state={
            shown.length > 0
              ? { kind: 'ready' }
              : { kind: 'empty', why: past.length > 0 ? t('historyFiltered') : t('historyNone') }
          }
        >
          <ul className={css.historyList}>
            {shown.map((query) => (
              <li key={query.expr}>
                <button type="button" onClick={() => onPick(query.expr)}>
                  <code>{query.expr}</code>
                  <time>{formatStamp(query.atMs, zone)}</time>
                </button>
              </li>
            ))}
          </ul>
        </DataRegion>
      </div>
    </Dialog>
  );
}
