// SPDX-License-Identifier: Apache-2.0
import { IconX } from '@tabler/icons-react';
import { type ReactNode, useEffect, useId, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import css from './Dialog.module.css';
import { IconButton } from './IconButton';

interface Props {
  title: string;
  /** Hides the title bar; the title is still announced. */
  bare?: boolean;
  size?: 'sm' | 'md' | 'lg';
  onClose: () => void;
  children: ReactNode;
}

/** A modal on the browser's own dialog element: focus stays inside, Escape closes, focus returns. */
export function Dialog({ title, bare, size = 'md', onClose, children }: Props) {
  const { t } = useTranslation();
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = ref.current;
    const before = document.activeElement;
    if (element && !element.open) element.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click on the backdrop is a shortcut for Escape
    <dialog
      ref={ref}
      className={`${css.dialog} ${css[size]} ${bare ? css.bare : ''}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <div className={css.inner}>
        <header className={bare ? 'sr-only' : css.header}>
          <h2 id={id}>{title}</h2>
          {!bare && <IconButton label={t('action.close')} icon={<IconX aria-hidden />} onClick={onClose} />}
        </header>
        {children}
      </div>
    </dialog>
  );
}
