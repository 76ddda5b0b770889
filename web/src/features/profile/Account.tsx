// SPDX-License-Identifier: Apache-2.0
import '@mantine/core/styles/PasswordInput.css';
import '@mantine/core/styles/ActionIcon.css';
import { Button, PasswordInput, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { boot, withBase } from '@/shared/api/boot';
import { request } from '@/shared/api/request';
import { useDraft } from '@/shared/drafts';
import { forgetState } from '@/shared/lastKnown';
import { Message } from '@/shared/ui/Message';
import { Panel } from '@/shared/ui/Panel';
import css from './ProfilePage.module.css';

/** Name, password and the way out; without sign-in it says whose choices these are. */
export function Account() {
  const { t } = useTranslation('profile');
  if (!boot.user)
    return (
      <Panel title={t('account')}>
        <p className={css.note}>{t('account.off')}</p>
      </Panel>
    );
  return (
    <Panel title={t('account')}>
      <div className={css.fields}>
        <NameForm initial={boot.user.name} />
        <PasswordForm />
        <Button
          variant="default"
          onClick={() =>
            void request('/api/ui/logout', { method: 'POST' })
              .catch(() => undefined)
              .then(() => {
                forgetState();
                location.assign(withBase('/login'));
              })
          }
        >
          {t('account.logout')}
        </Button>
      </div>
    </Panel>
  );
}

function NameForm({ initial }: { initial: string }) {
  const { t } = useTranslation('profile');
  const { t: tc } = useTranslation('common');
  const draft = useDraft('me/name', { name: initial });
  const { name } = draft.value;
  const save = useMutation({
    mutationFn: () => request('/api/ui/me', { method: 'PUT', json: { name } }),
    onSuccess: draft.drop,
  });
  return (
    <form
      className={css.row}
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <TextInput
        label={t('account.name')}
        autoComplete="name"
        value={name}
        onChange={(event) => draft.set({ name: event.currentTarget.value })}
        error={save.error?.message}
      />
      <Button type="submit" size="sm" variant="default" loading={save.isPending} disabled={name === ''}>
        {save.isSuccess ? t('account.saved') : tc('action.save')}
      </Button>
    </form>
  );
}

function PasswordForm() {
  const { t } = useTranslation('profile');
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const change = useMutation({
    mutationFn: () => request('/api/ui/me/password', { method: 'POST', json: { current, new: next } }),
    onSuccess: () => {
      setCurrent('');
      setNext('');
    },
  });
  return (
    <form
      className={css.fields}
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        change.mutate();
      }}
    >
      {change.isSuccess && <Message level="ok">{t('account.passwordChanged')}</Message>}
      {change.error && <Message level="critical">{change.error.message}</Message>}
      <PasswordInput
        label={t('account.current')}
        autoComplete="current-password"
        value={current}
        visibilityToggleButtonProps={{ 'aria-label': t('account.show') }}
        onChange={(event) => setCurrent(event.currentTarget.value)}
      />
      <PasswordInput
        label={t('account.next')}
        autoComplete="new-password"
        value={next}
        visibilityToggleButtonProps={{ 'aria-label': t('account.show') }}
        onChange={(event) => setNext(event.currentTarget.value)}
      />
      <div>
        <Button
          type="submit"
          variant="default"
          loading={change.isPending}
          disabled={current === '' || next.length < 10}
        >
          {t('account.change')}
        </Button>
      </div>
    </form>
  );
}
