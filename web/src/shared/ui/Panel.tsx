// SPDX-License-Identifier: Apache-2.0
import { type ReactNode, useId } from 'react';
import css from './Panel.module.css';

interface Props {
  title: ReactNode;
  /** Right of the title. */
  actions?: ReactNode;
  aside?: ReactNode;
  flush?: boolean;
  className?: string | undefined;
  children: ReactNode;
}

/** A landmark with a name: every panel can be reached and announced. */
export function Panel({ title, actions, aside, flush, className, children }: Props) {
  const id = useId();
  return (
    <section className={className ? `${css.panel} ${className}` : css.panel} aria-labelledby={id} data-panel="">
      <header className={css.header}>
        <h2 id={id} className={css.title}>
          {title}
        </h2>
        {aside && <span className={css.aside}>{aside}</span>}
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      <div className={flush ? css.flush : css.body}>{children}</div>
    </section>
  );
}
