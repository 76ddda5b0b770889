// SPDX-License-Identifier: Apache-2.0
import type { ButtonHTMLAttributes, ReactNode, Ref } from 'react';
import css from './IconButton.module.css';

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  label: string;
  icon: ReactNode;
  /** Shows the label too. */
  text?: ReactNode;
  active?: boolean | undefined;
  framed?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

/** A small button with an accessible name; the name is the hover text as well. */
export function IconButton({ label, icon, text, active, framed, className, ...rest }: Props) {
  const classes = [css.button, framed && css.framed, text && css.withText, className].filter(Boolean).join(' ');
  return (
    <button
      type="button"
      {...rest}
      className={classes}
      title={text ? rest.title : label}
      aria-label={text ? undefined : label}
      aria-pressed={active}
    >
      {icon}
      {text && <span>{text}</span>}
    </button>
  );
}
