// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { prefs } from '@/shared/prefs';
import { useStore } from '@/shared/store';
import { formatStamp } from '@/shared/time/format';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { DataTable } from '@/shared/ui/DataTable';
import { Panel } from '@/shared/ui/Panel';
import css from './Admin.module.css';
import { auditPage } from './api';

export function AuditPage() {
  const { t } = useTranslation('admin');
  const { t: tc } = useTranslation('common');
  const { timezone } = useStore(prefs);
  const log = useInfiniteQuery({
    queryKey: ['admin', 'audit'],
    queryFn: ({ pageParam, signal }) => auditPage(pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: (last) => (last.length < 50 ? undefined : (last.at(-1)?.id ?? undefined)),
  });
  const rows = log.data?.pages.flat() ?? [];
  let state: RegionState = { kind: 'ready' };
  if (!log.data) state = log.error ? stateOfError(log.error, () => void log.refetch()) : { kind: 'loading' };
  else if (rows.length === 0) state = { kind: 'empty', why: t('audit.none') };
  return (
    <Panel title={t('audit.title')} flush>
      <DataRegion state={state} minHeight={160}>
        <DataTable
          caption={t('audit.title')}
          rows={rows}
          rowKey={(e) => e.id}
          columns={[
            { key: 'time', title: t('audit.time'), cell: (e) => formatStamp(e.timeMs, timezone) },
            { key: 'actor', title: t('audit.actor'), cell: (e) => e.actor },
            { key: 'action', title: t('audit.action'), cell: (e) => <code>{e.action}</code> },
            { key: 'target', title: t('audit.target'), cell: (e) => e.target },
            { key: 'tenant', title: t('tokens.tenant'), cell: (e) => e.tenant || '–' },
            { key: 'detail', title: t('audit.detail'), cell: (e) => e.detail || '–' },
          ]}
        />
        {log.hasNextPage && (
          <div className={css.more}>
            <Button variant="default" loading={log.isFetchingNextPage} onClick={() => void log.fetchNextPage()}>
              {tc('action.more')}
            </Button>
          </div>
        )}
      </DataRegion>
    </Panel>
  );
}
