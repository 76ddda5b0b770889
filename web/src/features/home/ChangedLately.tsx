// SPDX-License-Identifier: Apache-2.0
import { useTranslation } from 'react-i18next';
import type { HomeData } from '@/shared/api/home';
import { formatClock, formatDay, formatStamp } from '@/shared/time/format';
import type { Zone } from '@/shared/time/zone';
import { DataRegion } from '@/shared/ui/DataRegion';
import { Panel } from '@/shared/ui/Panel';
import css from './HomePage.module.css';

export function ChangedLately({ home, zone }: { home: HomeData; zone: Zone }) {
  const { t } = useTranslation('home');
  const recent = (ms: number) => home.nowMs - ms < 20 * 3_600_000;
  return (
    <Panel title={t('changed.title')} flush={home.events.length > 0}>
      <DataRegion
        state={home.events.length > 0 ? { kind: 'ready' } : { kind: 'empty', why: t('changed.none') }}
        minHeight={110}
      >
        <ul className={css.events}>
          {home.events.slice(0, 8).map((event, index) => (
            <li key={`${event.timeMs}-${index}`}>
              <time dateTime={new Date(event.timeMs).toISOString()} title={formatStamp(event.timeMs, zone)}>
                {recent(event.timeMs) ? formatClock(event.timeMs, zone) : formatDay(event.timeMs, zone)}
              </time>
              <EventText event={event} />
            </li>
          ))}
        </ul>
      </DataRegion>
    </Panel>
  );
}

/** What the server itself reports is told in the reader's language; texts of people and pipelines stay as they are. */
function EventText({ event }: { event: HomeData['events'][number] }) {
  const { t } = useTranslation('home');
  let { title, detail } = event;
  const started = event.kind === 'tocayo.start' ? /^(.+) started$/.exec(title) : null;
  if (started) {
    title = t('event.start', { what: started[1] });
    detail = t('event.listening', { address: detail.replace('listening on ', '') });
  } else if (event.kind === 'config.reload') title = t('event.reload');
  return (
    <p>
      {title} <span className={css.detail}>{detail}</span>
    </p>
  );
}
