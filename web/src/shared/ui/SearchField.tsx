// SPDX-License-Identifier: Apache-2.0
import { IconSearch } from '@tabler/icons-react';
import css from './SearchField.module.css';

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  autoFocus?: boolean;
}

export function SearchField({ label, value, onChange, autoFocus }: Props) {
  return (
    <div className={css.field}>
      <IconSearch size={15} aria-hidden />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        spellCheck={false}
        // biome-ignore lint/a11y/noAutofocus: only where the person just opened a box to search in
        autoFocus={autoFocus}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </div>
  );
}
