// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type HomeData, hasData } from '@/shared/api/home';
import { useStaleSeconds } from '@/shared/live/useLiveAge';
import { formatDuration } from '@/shared/time/format';
import { Severity } from '@/shared/ui/Severity';
import css from './HomePage.module.css';

/** How fresh the newest sample is; when the feed has gone quiet it says so in place of green. */
export function LivePulse({ home }: { home: HomeData }) {
  const { t } = useTranslation('home');
  const { t: tc } = useTranslation('common');
  const stale = useStaleSeconds();
  const [received] = useReceived(home);
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (!hasData(home)) return <span className={css.pulse}>{t('pulse.none')}</span>;
  const age = (home.nowMs - home.lastSampleMs + Math.max(0, now - received)) / 1000;
  if (stale !== null || age > 30)
    return <Severity level="warning" word={tc('state.stale', { age: formatDuration(Math.max(stale ?? 0, age)) })} />;
  return (
    <span className={css.pulse}>
      <span className={css.dot} data-live="" aria-hidden />
      {t('pulse.fresh', { age: formatDuration(age) })}
    </span>
  );
}

/** Our clock when this answer came, so that the age does not depend on two clocks agreeing. */
function useReceived(home: HomeData): [number] {
  const [state, setState] = useState({ home, at: Date.now() });
  if (state.home !== home) setState({ home, at: Date.now() });
  return [state.at];
}
