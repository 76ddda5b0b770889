// SPDX-License-Identifier: Apache-2.0
import { IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Zone } from '@/shared/time/zone';
import { DataRegion } from '@/shared/ui/DataRegion';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import { Panel } from '@/shared/ui/Panel';
import type { LogView } from '@/shared/url/panes';
import { PanelName } from '../results/PanelName';
import { nsOf, queryLines } from './api';
import { LookButtons } from './LinesResult';
import { type LineActions, LogDetail } from './LogDetail';
import { LogRows } from './LogRows';
import { type Asked, type Failures, useFailures } from './parts';
import { useTail } from './useTail';

interface Props {
  pane: string;
  query: Asked;
  words: readonly string[];
  zone: Zone;
  look: LogView;
  onLook: (change: Partial<LogView>) => void;
  actions: LineActions;
  onFailures: (failures: Failures) => void;
}

/** Lines as they arrive, the newest at the end. Scrolling up pauses; the button goes on. */
export function TailResult({ pane, query, words, zone, look, onLook, actions, onFailures }: Props) {
  const { t } = useTranslation('explore');
  useCheck(query, onFailures);
  const tail = useTail(query.expr, true);
  const aside =
    tail.state !== 'open'
      ? t(tail.state === 'waiting' ? 'logs.tail.waiting' : 'logs.tail.connecting')
      : tail.paused
        ? t('logs.tail.paused', { count: tail.waiting })
        : t('logs.tail.open');
  return (
    <Panel
      title={<PanelName name={t('logs.tail')} pane={pane} />}
      aside={<span role="status">{aside}</span>}
      actions={
        <>
          <IconButton
            label={tail.paused ? t('logs.tail.resume') : t('logs.tail.pause')}
            text={tail.paused ? t('logs.tail.resume') : t('logs.tail.pause')}
            icon={tail.paused ? <IconPlayerPlay aria-hidden /> : <IconPlayerPause aria-hidden />}
            onClick={() => tail.setPaused(!tail.paused)}
          />
          <LookButtons look={look} onLook={onLook} lines={tail.lines} tail />
        </>
      }
      flush
    >
      {tail.dropped > 0 && <Message level="warning">{t('logs.tail.dropped', { count: tail.dropped })}</Message>}
      <DataRegion
        minHeight={240}
        state={
          tail.lines.length > 0
            ? { kind: 'ready' }
            : tail.state === 'open'
              ? { kind: 'empty', why: t('logs.tail.none') }
              : { kind: 'loading' }
        }
      >
        <LogRows
          lines={tail.lines}
          title={t('logs.lines')}
          zone={zone}
          look={look}
          words={words}
          detail={(line) => <LogDetail line={line} actions={actions} />}
          follow={!tail.paused}
          onScrollUp={() => tail.setPaused(true)}
        />
      </DataRegion>
    </Panel>
  );
}

/** A socket cannot say why it was refused: the same query asked for one line can. */
function useCheck(query: Asked, onFailures: Props['onFailures']) {
  const { error } = useQuery({
    queryKey: ['log_check', query.expr],
    queryFn: ({ signal }) => {
      const now = Date.now();
      const range = { startNs: nsOf(now - 60_000), endNs: nsOf(now), limit: 1, oldest: false };
      return queryLines({ query: query.expr, ...range }, signal);
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  useFailures([query], error, undefined, onFailures);
}
