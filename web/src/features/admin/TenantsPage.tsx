// SPDX-License-Identifier: Apache-2.0
import './fields';
import { Button, TextInput } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useDraft } from '@/shared/drafts';
import { prefs } from '@/shared/prefs';
import { useStore } from '@/shared/store';
import { formatStamp } from '@/shared/time/format';
import { Dialog } from '@/shared/ui/Dialog';
import { DraftNotice } from '@/shared/ui/DraftNotice';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import { useUrlDialog } from '@/shared/url/useUrlDialog';
import css from './Admin.module.css';
import { createTenant, deleteTenant, type Tenant, tenantsQuery } from './api';
import { ConfirmDelete } from './ConfirmDelete';
import { ListPanel } from './ListPanel';

export function TenantsPage() {
  const { t } = useTranslation('admin');
  const { timezone } = useStore(prefs);
  const client = useQueryClient();
  const tenants = useQuery(tenantsQuery);
  const [edit, openDialog, closeDialog] = useUrlDialog('edit');
  const [deleting, setDeleting] = useState<Tenant | null>(null);
  const changed = () => void client.invalidateQueries({ queryKey: tenantsQuery.queryKey });
  return (
    <>
      <ListPanel
        title={t('tenants.title')}
        query={tenants}
        rowKey={(x) => x.name}
        empty={t('tenants.none')}
        add={{ label: t('tenants.add'), run: () => openDialog('new') }}
        columns={[
          { key: 'name', title: t('tenants.name'), sort: (x) => x.name, cell: (x) => <code>{x.name}</code> },
          {
            key: 'display',
            title: t('tenants.display'),
            sort: (x) => x.displayName,
            cell: (x) => x.displayName || '–',
          },
          {
            key: 'created',
            title: t('created'),
            sort: (x) => x.createdMs,
            cell: (x) => formatStamp(x.createdMs, timezone),
          },
          {
            key: 'actions',
            title: t('actions'),
            actions: true,
            cell: (x) => (
              <IconButton
                label={t('tenants.delete', { name: x.name })}
                icon={<IconTrash aria-hidden />}
                onClick={() => setDeleting(x)}
              />
            ),
          },
        ]}
      />
      {edit === 'new' && <TenantDialog onSaved={changed} onClose={closeDialog} />}
      {deleting && (
        <ConfirmDelete
          title={t('tenants.delete', { name: deleting.name })}
          text={t('tenants.deleteText')}
          run={() => deleteTenant(deleting.name)}
          onDone={changed}
          onClose={() => setDeleting(null)}
        />
      )}
    </>
  );
}

function TenantDialog({ onSaved, onClose }: { onSaved: () => void; onClose: () => void }) {
  const { t } = useTranslation('admin');
  const { t: tc } = useTranslation('common');
  const draft = useDraft('tenant/new', { name: '', displayName: '' });
  const { name, displayName } = draft.value;
  const bad = name !== '' && !/^[A-Za-z0-9!\-_.*'()]{1,150}$/.test(name);
  const make = useMutation({
    mutationFn: () => createTenant({ name, displayName }),
    onSuccess: () => {
      draft.drop();
      onSaved();
      onClose();
    },
  });
  const cancel = () => {
    draft.drop();
    onClose();
  };
  return (
    <Dialog title={t('tenants.add')} size="sm" onClose={onClose}>
      <form
        className={css.form}
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          make.mutate();
        }}
      >
        <DraftNotice draft={draft} />
        {make.error && <Message level="critical">{make.error.message}</Message>}
        <TextInput
          label={t('tenants.name')}
          description={t('tenants.nameRule')}
          value={name}
          autoComplete="off"
          error={bad ? t('tenants.nameBad') : null}
          onChange={(event) => draft.set({ name: event.currentTarget.value })}
        />
        <TextInput
          label={t('tenants.display')}
          value={displayName}
          autoComplete="off"
          onChange={(event) => draft.set({ displayName: event.currentTarget.value })}
        />
        <div className={css.buttons}>
          <Button variant="default" onClick={cancel}>
            {tc('action.cancel')}
          </Button>
          <Button type="submit" loading={make.isPending} disabled={name === '' || bad}>
            {tc('action.create')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
