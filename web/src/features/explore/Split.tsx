// SPDX-License-Identifier: Apache-2.0
import { type KeyboardEvent, type PointerEvent, type ReactNode, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { clampShare, EVEN_SHARE } from '@/shared/url/panes';
import css from './Split.module.css';

interface Props {
  left: ReactNode;
  right: ReactNode;
  /** Width of the left side, percent. */
  share: number;
  onShare: (share: number) => void;
}

const STEP = 2;

/** Two panes side by side with a border that can be dragged, or moved with the arrow keys; one below the other on a phone. */
export function Split({ left, right, share, onShare }: Props) {
  const { t } = useTranslation('explore');
  const row = useRef<HTMLDivElement>(null);
  const [dragged, setDragged] = useState<number | null>(null);
  const now = dragged ?? share;

  const shareAt = (event: PointerEvent) => {
    const box = row.current?.getBoundingClientRect();
    if (!box) return now;
    const part = ((event.clientX - box.left) / box.width) * 100;
    return clampShare(getComputedStyle(row.current as Element).direction === 'rtl' ? 100 - part : part);
  };
  const keys = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -STEP, ArrowRight: STEP, PageDown: -10, PageUp: 10 }[event.key];
    const to = by !== undefined ? now + by : { Home: 0, End: 100, Enter: EVEN_SHARE }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onShare(clampShare(to));
  };
  return (
    <div ref={row} className={css.row} style={{ '--left': `${now}fr`, '--right': `${100 - now}fr` } as never}>
      {left}
      <div
        role="separator"
        className={css.border}
        tabIndex={0}
        aria-orientation="vertical"
        aria-label={t('resize')}
        aria-valuenow={now}
        aria-valuemin={clampShare(0)}
        aria-valuemax={clampShare(100)}
        onKeyDown={keys}
        onDoubleClick={() => onShare(EVEN_SHARE)}
        onPointerDown={(event) => {
          event.preventDefault();
          event.currentTarget.focus();
          event.currentTarget.setPointerCapture(event.pointerId);
          setDragged(now);
        }}
        onPointerMove={(event) => dragged !== null && setDragged(shareAt(event))}
        onPointerUp={() => {
          if (dragged !== null && dragged !== share) onShare(dragged);
          setDragged(null);
        }}
        onPointerCancel={() => setDragged(null)}
      />
      {right}
    </div>
  );
}
