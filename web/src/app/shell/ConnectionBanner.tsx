// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { probeNow, reachability } from '@/shared/api/reachability';
import { useStore } from '@/shared/store';
import { Severity } from '@/shared/ui/Severity';
import css from './Shell.module.css';

/** One banner while the server does not answer; whatever was typed stays where it is. */
export function ConnectionBanner() {
  const { t } = useTranslation();
  const state = useStore(reachability);
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (state.up) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [state.up]);
  if (state.up) return null;
  const seconds = Math.max(0, Math.ceil((state.retryAtMs - now) / 1000));
  return (
    <div className={css.banner} role="alert">
      <Severity level="critical" word={t('error.unreachable')} />
      <span>{t('banner.retry', { count: seconds })}</span>
      <Button variant="default" onClick={() => void probeNow()}>
        {t('banner.now')}
      </Button>
    </div>
  );
}
