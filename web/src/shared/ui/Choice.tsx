// SPDX-License-Identifier: Apache-2.0
import { useId } from 'react';
import css from './Choice.module.css';

interface Props<T extends string> {
  label: string;
  hideLabel?: boolean;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
  hint?: string;
}

/** A few choices side by side: radio buttons that look like one control. */
export function Choice<T extends string>({ label, hideLabel, value, options, onChange, hint }: Props<T>) {
  const name = useId();
  return (
    <fieldset className={css.group}>
      <legend className={hideLabel ? 'sr-only' : css.legend}>{label}</legend>
      <div className={css.options}>
        {options.map((option) => (
          <label key={option.value} className={css.option}>
            <input
              type="radio"
              name={name}
              className="sr-only"
              checked={option.value === value}
              onChange={() => onChange(option.value)}
            />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
      {hint && <p className={css.hint}>{hint}</p>}
    </fieldset>
  );
}
