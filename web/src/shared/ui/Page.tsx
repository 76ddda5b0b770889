// SPDX-License-Identifier: Apache-2.0
import { type ReactNode, useEffect } from 'react';
import { boot } from '../api/boot';
import css from './Page.module.css';

interface Props {
  title: string;
  /** Small text beside the title. */
  aside?: ReactNode;
  actions?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}

export function Page({ title, aside, actions, wide, children }: Props) {
  useEffect(() => {
    document.title = `${title} · ${boot.product}`;
  }, [title]);
  return (
    <div className={wide ? css.wide : css.page}>
      <header className={css.header}>
        <div className={css.heading}>
          <h1>{title}</h1>
          {aside && <div className={css.aside}>{aside}</div>}
        </div>
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}
