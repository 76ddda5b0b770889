// SPDX-License-Identifier: Apache-2.0
import { Button, PasswordInput, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { boot, withBase } from '@/shared/api/boot';
import { ApiError, request } from '@/shared/api/request';
import { Message } from '@/shared/ui/Message';
import { AuthFrame } from './AuthFrame';
import css from './AuthFrame.module.css';
import { safeNext } from './safeNext';
import './fields';

export function LoginPage() {
  const { t } = useTranslation('auth');
  const [login, setLogin] = useState('');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await request('/api/ui/login', { method: 'POST', json: { login, password } });
      // A full load: the server writes the person into the page.
      location.assign(withBase(safeNext(new URLSearchParams(location.search).get('next'))));
    } catch (error) {
      setProblem(
        error instanceof ApiError
          ? error
          : new ApiError(0, { code: 'client', message: String(error), params: {} }, null, ''),
      );
      setBusy(false);
    }
  };

  const expired = new URLSearchParams(location.search).get('expired') !== null;
  return (
    <AuthFrame title={t('login.title', { product: boot.product })}>
      <form onSubmit={(event) => void submit(event)} className={css.form}>
        {expired && !problem && <Message level="info">{t('login.expired')}</Message>}
        {problem && (
          <Message level="critical" word={t('login.failed')}>
            {problem.status === 401 ? t('login.bad') : problem.status === 429 ? t('login.slow') : problem.message}
          </Message>
        )}
        <TextInput
          label={t('login.login')}
          autoComplete="username"
          required
          withAsterisk={false}
          autoFocus
          value={login}
          onChange={(event) => setLogin(event.currentTarget.value)}
        />
        <PasswordInput
          label={t('login.password')}
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={password}
          visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Button type="submit" size="sm" loading={busy} disabled={login === '' || password === ''}>
          {t('login.submit')}
        </Button>
      </form>
    </AuthFrame>
  );
}
