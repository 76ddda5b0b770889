// SPDX-License-Identifier: Apache-2.0
import './fields';
import { Button, Checkbox, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import type { FormEvent } from 'react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { useDraft } from '@/shared/drafts';
import { Choice } from '@/shared/ui/Choice';
import { CopyButton } from '@/shared/ui/CopyButton';
import { Dialog } from '@/shared/ui/Dialog';
import { DraftNotice } from '@/shared/ui/DraftNotice';
import { Message } from '@/shared/ui/Message';
import css from './Admin.module.css';
import { createToken, tenantsQuery } from './api';

const SCOPES = ['metrics:write', 'logs:write', 'events:write', 'metrics:read', 'logs:read', 'admin'] as const;
/** What a collector needs. */
const USUAL: readonly string[] = ['metrics:write', 'logs:write'];
const LIFETIMES = { '30': 30, '90': 90, '365': 365, never: null } as const;

export function TokenDialog({ onSaved, onClose }: { onSaved: () => void; onClose: () => void }) {
  const { t } = useTranslation('admin');
  const { t: tc } = useTranslation('common');
  const tenants = useQuery(tenantsQuery);
  const draft = useDraft('token/new', {
    name: '',
    tenant: boot.tenant,
    scopes: [...USUAL],
    lifetime: '365' as keyof typeof LIFETIMES,
  });
  const { name, tenant, scopes, lifetime } = draft.value;
  const make = useMutation({
    mutationFn: () => {
      const days = LIFETIMES[lifetime];
      const expiresMs = days === null ? {} : { expiresMs: Date.now() + days * 86_400_000 };
      return createToken({ name, tenant, scopes, ...expiresMs });
    },
    onSuccess: () => {
      draft.drop();
      onSaved();
    },
  });
  const cancel = () => {
    draft.drop();
    onClose();
  };
  const names = tenants.data?.map((x) => x.name) ?? [tenant];

  if (make.data)
    return (
      <Dialog title={t('tokens.made')} size="sm" onClose={onClose}>
        <div className={css.form}>
          <Message level="warning">{t('tokens.once')}</Message>
          <div className={css.secret}>
            <code>{make.data.token}</code>
            <CopyButton value={make.data.token} label={t('tokens.copy')} />
          </div>
          <div className={css.buttons}>
            <Button onClick={onClose}>{tc('action.close')}</Button>
          </div>
        </div>
      </Dialog>
    );

  return (
    <Dialog title={t('tokens.add')} size="sm" onClose={onClose}>
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
          label={t('tokens.name')}
          value={name}
          autoComplete="off"
          onChange={(event) => draft.set({ name: event.currentTarget.value })}
        />
        {names.length > 1 && (
          <Choice
            label={t('tokens.tenant')}
            value={tenant}
            onChange={(next) => draft.set({ tenant: next })}
            options={names.map((n) => ({ value: n, label: n }))}
          />
        )}
        <Checkbox.Group label={t('tokens.scopes')} value={scopes} onChange={(next) => draft.set({ scopes: next })}>
          {SCOPES.map((scope) => (
            <Checkbox
              key={scope}
              mt={6}
              value={scope}
              label={t(`scope.${scope.replace(':', '_') as 'admin'}`)}
              description={scope}
            />
          ))}
        </Checkbox.Group>
        <Choice<keyof typeof LIFETIMES>
          label={t('tokens.expires')}
          value={lifetime}
          onChange={(next) => draft.set({ lifetime: next })}
          options={[
            { value: '30', label: t('tokens.days', { count: 30 }) },
            { value: '90', label: t('tokens.days', { count: 90 }) },
            { value: '365', label: t('tokens.days', { count: 365 }) },
            { value: 'never', label: t('never') },
          ]}
        />
        <div className={css.buttons}>
          <Button variant="default" onClick={cancel}>
            {tc('action.cancel')}
          </Button>
          <Button type="submit" loading={make.isPending} disabled={name === '' || scopes.length === 0}>
            {tc('action.create')}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
