// SPDX-License-Identifier: Apache-2.0
import { useVirtualizer } from '@tanstack/react-virtual';
import type { TFunction } from 'i18next';
import { memo, type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatStamp } from '@/shared/time/format';
import type { Zone } from '@/shared/time/zone';
import type { LogView } from '@/shared/url/panes';
import { rowsOf, useTextPlace } from './height';
import { LevelWord } from './LevelWord';
import css from './Logs.module.css';
import { LogText } from './LogText';
import type { LogLine } from './lines';

interface Props {
  /** As they stand from top to bottom. */
  lines: readonly LogLine[];
  title: string;
  zone: Zone;
  look: LogView;
  words: readonly string[];
  detail?: (line: LogLine) => ReactNode;
  /** The end is kept in sight while lines arrive there. */
  follow?: boolean;
  /** Somebody scrolled away from the end that is being followed. */
  onScrollUp?: () => void;
}

const ROW = 20;
const PADDING = 4;

/** Lines of any number: only those in sight are in the document. */
export function LogRows({ lines, title, zone, look, words, detail, follow = false, onScrollUp }: Props) {
  const { t } = useTranslation('explore');
  const scroller = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(() => new Set(look.line ? [look.line] : []));
  // The same function as long as the lines are the same: with another one, the places of all of them are worked out anew.
  const getItemKey = useCallback((index: number) => lines[index]?.key ?? index, [lines]);
  const { columns, above } = useTextPlace(scroller, `.${css.text}`, look.wrap, lines.length > 0);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => above + PADDING + ROW * rowsOf(lines[index]?.text ?? '', columns),
    getItemKey,
    overscan: 6,
    initialRect: { width: 900, height: 560 },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows have other heights with these
  useLayoutEffect(() => virtual.measure(), [columns, above, look.pretty]);

  // The line of the link comes into sight once it is there.
  const wanted = look.line;
  const at = wanted === '' ? -1 : lines.findIndex((line) => line.key === wanted);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once per line and its arrival
  useEffect(() => {
    if (at < 0) return;
    setOpen((keys) => new Set([...keys, wanted]));
    virtual.scrollToIndex(at, { align: 'center' });
  }, [wanted, at >= 0]);

  const last = lines.at(-1)?.key;
  // biome-ignore lint/correctness/useExhaustiveDependencies: at each new line
  useEffect(() => {
    if (follow && lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: 'end' });
  }, [follow, last, lines.length]);

  const top = useRef(0);
  const scrolled = () => {
    const box = scroller.current;
    if (!box) return;
    const up = box.scrollTop < top.current - 2;
    top.current = box.scrollTop;
    if (follow && up && box.scrollHeight - box.scrollTop - box.clientHeight > ROW + PADDING) onScrollUp?.();
  };
  const toggle = useCallback(
    (key: string) =>
      setOpen((keys) => {
        const next = new Set(keys);
        if (!next.delete(key)) next.add(key);
        return next;
      }),
    [],
  );
  const items = virtual.getVirtualItems();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section ref={scroller} className={css.scroll} tabIndex={0} aria-label={title} onScroll={scrolled}>
      <ol className={css.lines} style={{ height: virtual.getTotalSize() }} data-wrap={look.wrap ? '' : undefined}>
        {items.map((item) => {
          const line = lines[item.index];
          if (!line) return null;
          return (
            <li
              key={item.key}
              data-index={item.index}
              ref={virtual.measureElement}
              className={css.item}
              style={{ transform: `translateY(${item.start}px)` }}
              data-level={line.level}
              data-wanted={line.key === wanted ? '' : undefined}
              aria-setsize={lines.length}
              aria-posinset={item.index + 1}
            >
              <Row
                line={line}
                zone={zone}
                look={look}
                words={words}
                open={open.has(line.key)}
                onToggle={detail ? toggle : undefined}
                t={t}
              />
              {detail && open.has(line.key) && detail(line)}
            </li>
          );
        })}
      </ol>
    </section>
  );
}

interface RowProps {
  line: LogLine;
  zone: Zone;
  look: LogView;
  words: readonly string[];
  open: boolean;
  onToggle: ((key: string) => void) | undefined;
  t: TFunction<'explore'>;
}

const Row = memo(function Row({ line, zone, look, words, open, onToggle, t }: RowProps) {
  const stamp = formatStamp(line.ms, zone, true);
  return (
    <div className={css.line}>
      {onToggle ? (
        <button
          type="button"
          className={css.toggle}
          aria-expanded={open}
          aria-label={t('logs.expand', { time: stamp })}
          onClick={() => onToggle(line.key)}
        >
          <time>{stamp}</time>
        </button>
      ) : (
        <time className={css.toggle}>{stamp}</time>
      )}
      <LevelWord level={line.level} t={t} />
      <span className={css.text}>
        <LogText text={line.text} words={words} look={look} />
      </span>
    </div>
  );
});
