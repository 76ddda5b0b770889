// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatStamp } from '@/shared/time/format';
import type { Zone } from '@/shared/time/zone';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { Dialog } from '@/shared/ui/Dialog';
import type { LogView } from '@/shared/url/panes';
import { queryLines } from './api';
import { LevelWord } from './LevelWord';
import css from './Logs.module.css';
import { LogText } from './LogText';
import { joinLines, type LogLine, shiftNs } from './lines';
import { selectorOf } from './selector';

const STEP = 10;
const MOST = 500;
/** How far from the line its neighbours are looked for. */
const REACH_NS = 24n * 3600n * 1_000_000_000n;

/** The lines of the same stream before and after one line, whatever the query filters. */
async function around(line: LogLine, count: number, signal: AbortSignal) {
  const query = selectorOf(line.stream);
  const next = shiftNs(line.ns, 1n);
  const [before, after] = await Promise.all([
    // One more on each side: whether there are further ones.
    queryLines({ query, startNs: shiftNs(line.ns, -REACH_NS), endNs: next, limit: count + 2, oldest: false }, signal),
    queryLines({ query, startNs: line.ns, endNs: shiftNs(line.ns, REACH_NS), limit: count + 2, oldest: true }, signal),
  ]);
  const all = joinLines([before.lines, after.lines]);
  // A query that rewrites lines gives them other keys: then the instant has to do.
  const same = all.findIndex((other) => other.key === line.key);
  const at = same >= 0 ? same : all.findIndex((other) => other.ns === line.ns);
  if (at < 0) throw new Error('The line is no longer stored.');
  return {
    before: all.slice(Math.max(0, at - count), at),
    after: all.slice(at + 1, at + 1 + count),
    moreBefore: at > count,
    moreAfter: all.length - at - 1 > count,
  };
}

interface Props {
  line: LogLine;
  zone: Zone;
  look: LogView;
  onClose: () => void;
}

export default function ContextDialog({ line, zone, look, onClose }: Props) {
  const { t } = useTranslation('explore');
  const [count, setCount] = useState(STEP);
  const middle = useRef<HTMLLIElement>(null);
  const found = useQuery({
    queryKey: ['log_context', line.key, count],
    queryFn: ({ signal }) => around(line, count, signal),
    placeholderData: (previous) => previous,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const ready = found.data !== undefined;
  useEffect(() => {
    if (ready) middle.current?.scrollIntoView({ block: 'center' });
  }, [ready]);
  const { data } = found;
  const more = data !== undefined && (data.moreBefore || data.moreAfter) && count < MOST;
  const row = (other: LogLine, here = false) => (
    <li
      key={other.key}
      ref={here ? middle : undefined}
      className={css.line}
      data-level={other.level}
      data-wanted={here ? '' : undefined}
      aria-current={here ? 'true' : undefined}
    >
      <time className={css.toggle}>{formatStamp(other.ms, zone, true)}</time>
      <LevelWord level={other.level} t={t} />
      <span className={css.text}>
        <LogText text={other.text} words={[]} look={look} />
      </span>
    </li>
  );
  return (
    <Dialog title={t('logs.contextTitle')} size="lg" onClose={onClose}>
      <div className={css.contextBody}>
        <code className={css.contextStream}>{selectorOf(line.stream)}</code>
        <DataRegion
          minHeight={220}
          state={
            data
              ? { kind: 'ready' }
              : found.error
                ? stateOfError(found.error, () => void found.refetch())
                : { kind: 'loading' }
          }
        >
          {data && (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
            <section className={css.contextScroll} tabIndex={0} aria-label={t('logs.contextLines')}>
              <ol data-wrap="" className={css.contextLines}>
                {!data.moreBefore && <li className={css.edge}>{t('logs.contextFirst')}</li>}
                {data.before.map((other) => row(other))}
                {row(line, true)}
                {data.after.map((other) => row(other))}
                {!data.moreAfter && <li className={css.edge}>{t('logs.contextLast')}</li>}
              </ol>
            </section>
          )}
        </DataRegion>
        {more && (
          <Button variant="default" loading={found.isFetching} onClick={() => setCount(count + STEP * 4)}>
            {t('logs.contextMore')}
          </Button>
        )}
      </div>
    </Dialog>
  );
}
