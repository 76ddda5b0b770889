// SPDX-License-Identifier: Apache-2.0
import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import css from './Dropdown.module.css';

interface Props {
  label: string;
  /** Read out before the trigger's own text. Without it the label is the whole name. */
  prefix?: string;
  trigger: ReactNode;
  triggerClass?: string | undefined;
  align?: 'start' | 'end';
  /** Called with a function that closes the box. */
  children: (close: () => void) => ReactNode;
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
  disabled?: boolean;
  up?: boolean;
}

/** A button and the box below it; Escape and a click outside close it and focus returns to the button. */
export function Dropdown(props: Props) {
  const { label, trigger, triggerClass, align = 'start', children, disabled, up } = props;
  const [own, setOwn] = useState(false);
  const open = props.open ?? own;
  const wrapper = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const setOpen = (next: boolean) => {
    setOwn(next);
    props.onOpenChange?.(next);
  };
  const latest = useRef(setOpen);
  latest.current = setOpen;

  useEffect(() => {
    if (!open) return;
    const outside = (event: PointerEvent) => {
      if (!wrapper.current?.contains(event.target as Node)) latest.current(false);
    };
    const onEscape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return;
      event.preventDefault();
      latest.current(false);
      button.current?.focus();
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('keydown', onEscape);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('keydown', onEscape);
    };
  }, [open]);

  return (
    <div className={css.wrapper} ref={wrapper}>
      <button
        type="button"
        ref={button}
        className={triggerClass ?? css.trigger}
        aria-haspopup="dialog"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-label={props.prefix === undefined ? label : undefined}
        title={label}
        disabled={disabled}
        onClick={() => setOpen(!open)}
      >
        {props.prefix !== undefined && <span className="sr-only">{`${props.prefix}: `}</span>}
        {trigger}
      </button>
      {open && (
        <div
          id={id}
          role="dialog"
          aria-label={label}
          className={`${css.box} ${align === 'end' ? css.end : css.start} ${up ? css.up : ''}`}
        >
          {children(() => {
            setOpen(false);
            button.current?.focus();
          })}
        </div>
      )}
    </div>
  );
}
