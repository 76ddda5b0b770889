// SPDX-License-Identifier: Apache-2.0
import { IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { prefs } from '@/shared/prefs';
import { useStore } from '@/shared/store';
import { formatStamp } from '@/shared/time/format';
import { IconButton } from '@/shared/ui/IconButton';
import { Severity } from '@/shared/ui/Severity';
import { useUrlDialog } from '@/shared/url/useUrlDialog';
import { deleteToken, type Token, tokensQuery } from './api';
import { ConfirmDelete } from './ConfirmDelete';
import { ListPanel } from './ListPanel';
import { TokenDialog } from './TokenDialog';

export function TokensPage() {
  const { t } = useTranslation('admin');
  const { timezone } = useStore(prefs);
  const client = useQueryClient();
  const tokens = useQuery(tokensQuery);
  const [edit, openDialog, closeDialog] = useUrlDialog('edit');
  const [deleting, setDeleting] = useState<Token | null>(null);
  const changed = () => void client.invalidateQueries({ queryKey: tokensQuery.queryKey });
  const now = Date.now();
  return (
    <>
      <ListPanel
        title={t('tokens.title')}
        query={tokens}
        rowKey={(k) => k.id}
        empty={t('tokens.none')}
        add={{ label: t('tokens.add'), run: () => openDialog('new') }}
        columns={[
          { key: 'name', title: t('tokens.name'), sort: (k) => k.name, cell: (k) => k.name },
          { key: 'tenant', title: t('tokens.tenant'), sort: (k) => k.tenant, cell: (k) => k.tenant },
          { key: 'scopes', title: t('tokens.scopes'), cell: (k) => k.scopes.join(', ') },
          {
            key: 'created',
            title: t('created'),
            sort: (k) => k.createdMs,
            cell: (k) => formatStamp(k.createdMs, timezone),
          },
          {
            key: 'used',
            title: t('tokens.used'),
            sort: (k) => k.lastUsedMs ?? 0,
            cell: (k) => (k.lastUsedMs ? formatStamp(k.lastUsedMs, timezone) : t('never')),
          },
          {
            key: 'expires',
            title: t('tokens.expires'),
            sort: (k) => k.expiresMs ?? Number.POSITIVE_INFINITY,
            cell: (k) =>
              k.expiresMs === null ? (
                t('never')
              ) : k.expiresMs < now ? (
                <Severity level="warning" word={t('tokens.expired')} />
              ) : (
                formatStamp(k.expiresMs, timezone)
              ),
          },
          {
            key: 'actions',
            title: t('actions'),
            actions: true,
            cell: (k) => (
              <IconButton
                label={t('tokens.revoke', { name: k.name })}
                icon={<IconTrash aria-hidden />}
                onClick={() => setDeleting(k)}
              />
            ),
          },
        ]}
      />
      {edit === 'new' && <TokenDialog onSaved={changed} onClose={closeDialog} />}
      {deleting && (
        <ConfirmDelete
          title={t('tokens.revoke', { name: deleting.name })}
          text={t('tokens.revokeText')}
          run={() => deleteToken(deleting.id)}
          onDone={changed}
          onClose={() => setDeleting(null)}
        />
      )}
    </>
  );
}
