// SPDX-License-Identifier: Apache-2.0
import { Button, PasswordInput, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { boot, withBase } from '@/shared/api/boot';
import { ApiError, request } from '@/shared/api/request';
import { Message } from '@/shared/ui/Message';
import { AuthFrame } from './AuthFrame';
import css from './AuthFrame.module.css';
import './fields';

const SHORTEST = 10;

/** Reached by the one-time link that the first start prints: makes the first administrator. */
export function SetupPage() {
  const { t } = useTranslation('auth');
  const token = new URLSearchParams(location.search).get('token') ?? '';
  const [name, setName] = useState('');
  const [login, setLogin] = useState('admin');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const short = password !== '' && password.length < SHORTEST;
  const differs = again !== '' && again !== password;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await request('/api/ui/setup', { method: 'POST', json: { token, login, name: name || login, password } });
      location.assign(withBase('/login'));
    } catch (error) {
      setProblem(
        error instanceof ApiError && (error.status === 403 || error.status === 410)
          ? t('setup.used')
          : String((error as Error).message),
      );
      setBusy(false);
    }
  };

  return (
    <AuthFrame title={t('setup.title', { product: boot.product })}>
      <p className={css.lead}>{t('setup.lead')}</p>
      {token === '' && (
        <Message level="warning" word={t('setup.noToken')}>
          {t('setup.noTokenText')}
        </Message>
      )}
      <form onSubmit={(event) => void submit(event)} className={css.form}>
        {problem && <Message level="critical">{problem}</Message>}
        <TextInput
          label={t('setup.name')}
          autoComplete="name"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <TextInput
          label={t('login.login')}
          autoComplete="username"
          required
          withAsterisk={false}
          value={login}
          onChange={(event) => setLogin(event.currentTarget.value)}
        />
        <PasswordInput
          label={t('login.password')}
          description={t('setup.rule', { count: SHORTEST })}
          autoComplete="new-password"
          required
          withAsterisk={false}
          value={password}
          error={short ? t('setup.short', { count: SHORTEST }) : null}
          visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <PasswordInput
          label={t('setup.again')}
          autoComplete="new-password"
          required
          withAsterisk={false}
          value={again}
          error={differs ? t('setup.differs') : null}
          visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
          onChange={(event) => setAgain(event.currentTarget.value)}
        />
        <Button
          type="submit"
          size="sm"
          loading={busy}
          disabled={token === '' || login === '' || password.length < SHORTEST || again !== password}
        >
          {t('setup.submit')}
        </Button>
      </form>
    </AuthFrame>
  );
}
