// SPDX-License-Identifier: Apache-2.0
import { IconEdit, IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { prefs } from '@/shared/prefs';
import { useStore } from '@/shared/store';
import { formatStamp } from '@/shared/time/format';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import { Severity } from '@/shared/ui/Severity';
import { useUrlDialog } from '@/shared/url/useUrlDialog';
import { type AdminUser, deleteUser, usersQuery } from './api';
import { ConfirmDelete } from './ConfirmDelete';
import { ListPanel } from './ListPanel';
import { UserDialog } from './UserDialog';

export function UsersPage() {
  const { t } = useTranslation('admin');
  const { timezone } = useStore(prefs);
  const client = useQueryClient();
  const users = useQuery(usersQuery);
  const [edit, openDialog, closeDialog] = useUrlDialog('edit');
  const edited = users.data?.find((u) => String(u.id) === edit);
  const [deleting, setDeleting] = useState<AdminUser | null>(null);
  const changed = () => void client.invalidateQueries({ queryKey: usersQuery.queryKey });
  return (
    <>
      {boot.authMode === 'off' && <Message level="info">{t('users.authOff')}</Message>}
      <ListPanel
        title={t('users.title')}
        query={users}
        rowKey={(u) => u.id}
        empty={t('users.none')}
        add={{ label: t('users.add'), run: () => openDialog('new') }}
        columns={[
          { key: 'login', title: t('users.login'), sort: (u) => u.login, cell: (u) => u.login },
          { key: 'name', title: t('users.name'), sort: (u) => u.name, cell: (u) => u.name },
          {
            key: 'role',
            title: t('users.roles'),
            cell: (u) =>
              [
                ...(u.instanceAdmin ? [t('users.instanceAdmin')] : []),
                ...Object.entries(u.roles).map(([tenant, role]) =>
                  t('users.roleIn', { role: t(`role.${role}`), tenant }),
                ),
              ].join(', '),
          },
          {
            key: 'state',
            title: t('users.state'),
            sort: (u) => (u.disabled ? 1 : 0),
            cell: (u) =>
              u.disabled ? (
                <Severity level="unknown" word={t('users.disabled')} />
              ) : (
                <Severity level="ok" word={t('users.active')} />
              ),
          },
          {
            key: 'seen',
            title: t('users.lastLogin'),
            sort: (u) => u.lastLoginMs ?? 0,
            cell: (u) => (u.lastLoginMs ? formatStamp(u.lastLoginMs, timezone) : t('never')),
          },
          {
            key: 'actions',
            title: t('actions'),
            actions: true,
            cell: (u) => (
              <>
                <IconButton
                  label={t('users.edit', { login: u.login })}
                  icon={<IconEdit aria-hidden />}
                  onClick={() => openDialog(String(u.id))}
                />
                <IconButton
                  label={t('users.delete', { login: u.login })}
                  icon={<IconTrash aria-hidden />}
                  disabled={u.id === boot.user?.id}
                  onClick={() => setDeleting(u)}
                />
              </>
            ),
          },
        ]}
      />
      {(edit === 'new' || edited) && (
        <UserDialog key={edit} user={edited ?? null} onSaved={changed} onClose={closeDialog} />
      )}
      {deleting && (
        <ConfirmDelete
          title={t('users.delete', { login: deleting.login })}
          text={t('users.deleteText')}
          run={() => deleteUser(deleting.id)}
          onDone={changed}
          onClose={() => setDeleting(null)}
        />
      )}
    </>
  );
}
