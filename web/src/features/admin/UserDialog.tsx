// SPDX-License-Identifier: Apache-2.0
import './fields';
import { Button, Checkbox, PasswordInput, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Role } from '@/shared/api/boot';
import { Choice } from '@/shared/ui/Choice';
import { Dialog } from '@/shared/ui/Dialog';
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
  const [login, setLogin] = useState(user?.login ?? '');
  const [name, setName] = useState(user?.name ?? '');
  const [password, setPassword] = useState('');
  const [instanceAdmin, setInstanceAdmin] = useState(user?.instanceAdmin ?? false);
  const [disabled, setDisabled] = useState(user?.disabled ?? false);
  const [roles, setRoles] = useState<Record<string, Role>>(user?.roles ?? {});
  const save = useMutation({
    mutationFn: (): Promise<unknown> =>
      user
        ? patchUser(user.id, { name, instanceAdmin, disabled, roles, ...(password ? { password } : {}) })
        : createUser({ login, name: name || login, password, instanceAdmin, roles }),
    onSuccess: () => {
      onSaved();
      onClose();
    },
  });
  const setRole = (tenant: string, role: RoleChoice) => {
    const { [tenant]: _old, ...rest } = roles;
    setRoles(role === 'none' ? rest : { ...rest, [tenant]: role });
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
        {save.error && <Message level="critical">{save.error.message}</Message>}
        <TextInput
          label={t('users.login')}
          value={login}
          disabled={user !== null}
          autoComplete="off"
          onChange={(event) => setLogin(event.currentTarget.value)}
        />
        <TextInput
          label={t('users.name')}
          value={name}
          autoComplete="off"
          onChange={(event) => setName(event.currentTarget.value)}
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
          onChange={(event) => setInstanceAdmin(event.currentTarget.checked)}
        />
        {user && (
          <Checkbox
            label={t('users.disable')}
            checked={disabled}
            onChange={(event) => setDisabled(event.currentTarget.checked)}
          />
        )}
        <div className={css.buttons}>
          <Button variant="default" onClick={onClose}>
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
