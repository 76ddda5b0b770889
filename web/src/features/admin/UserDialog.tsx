// SPDX-License-Identifier: Apache-2.0
import './fields';
import { Button, Checkbox, PasswordInput, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Role } from '@/shared/api/boot';
import { useDraft } from '@/shared/drafts';
import { Choice } from '@/shared/ui/Choice';
import { Dialog } from '@/shared/ui/Dialog';
import { DraftNotice } from '@/shared/ui/DraftNotice';
import { Message } from '@/shared/ui/Message';
import css from './Admin.module.css';
import { type AdminUser, createUser, patchUser, tenantsQuery } from './api';

interface Props {
  user: AdminUser | null;
  onSaved: () => void;
  onClose: () => void;
}

type RoleChoice = Role | 'none';

export function UserDialog({ user, onSaved, onClose }: Props) {
  const { t } = useTranslation('admin');
  const { t: tc } = useTranslation('common');
  const tenants = useQuery(tenantsQuery);
  // The password is not part of the draft: it is kept nowhere.
  const [password, setPassword] = useState('');
  const draft = useDraft(`user/${user?.id ?? 'new'}`, {
    login: user?.login ?? '',
    name: user?.name ?? '',
    instanceAdmin: user?.instanceAdmin ?? false,
    disabled: user?.disabled ?? false,
    roles: (user?.roles ?? {}) as Record<string, Role>,
  });
  const { login, name, instanceAdmin, disabled, roles } = draft.value;
  const save = useMutation({
    mutationFn: (): Promise<unknown> =>
      user
        ? patchUser(user.id, { name, instanceAdmin, disabled, roles, ...(password ? { password } : {}) })
        : createUser({ login, name: name || login, password, instanceAdmin, roles }),
    onSuccess: () => {
      draft.drop();
      onSaved();
      onClose();
    },
  });
  const setRole = (tenant: string, role: RoleChoice) => {
    const { [tenant]: _old, ...rest } = roles;
    draft.set({ roles: role === 'none' ? rest : { ...rest, [tenant]: role } });
  };
  const cancel = () => {
    draft.drop();
    onClose();
  };
  return (
    <Dialog title={user ? t('users.edit', { login: user.login }) : t('users.add')} size="sm" onClose={onClose}>
      <form
        className={css.form}
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <DraftNotice draft={draft} />
        {save.error && <Message level="critical">{save.error.message}</Message>}
        <TextInput
          label={t('users.login')}
          value={login}
          disabled={user !== null}
          autoComplete="off"
          onChange={(event) => draft.set({ login: event.currentTarget.value })}
        />
        <TextInput
          label={t('users.name')}
          value={name}
          autoComplete="off"
          onChange={(event) => draft.set({ name: event.currentTarget.value })}
        />
        <PasswordInput
          label={user ? t('users.newPassword') : t('users.password')}
          description={t('users.passwordRule')}
          autoComplete="new-password"
          value={password}
          visibilityToggleButtonProps={{ 'aria-label': t('users.show') }}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        {(tenants.data ?? []).map((tenant) => (
          <Choice<RoleChoice>
            key={tenant.name}
            label={t('users.roleFor', { tenant: tenant.displayName || tenant.name })}
            value={roles[tenant.name] ?? 'none'}
            onChange={(role) => setRole(tenant.name, role)}
            options={(['none', 'viewer', 'editor', 'admin'] as const).map((role) => ({
              value: role,
              label: t(`role.${role}`),
            }))}
          />
        ))}
        <Checkbox
          label={t('users.instanceAdmin')}
          checked={instanceAdmin}
          onChange={(event) => draft.set({ instanceAdmin: event.currentTarget.checked })}
        />
        {user && (
          <Checkbox
            label={t('users.disable')}
            checked={disabled}
            onChange={(event) => draft.set({ disabled: event.currentTarget.checked })}
          />
        )}
        <div className={css.buttons}>
          <Button variant="default" onClick={cancel}>
            {tc('action.cancel')}
          </Button>
          <Button type="submit" loading={save.isPending} disabled={login === '' || (!user && password.length < 10)}>
            {user ? tc('action.save') : tc('action.create')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
