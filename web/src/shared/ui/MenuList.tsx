// SPDX-License-Identifier: Apache-2.0
import type { ReactNode } from 'react';
import css from './MenuList.module.css';

export interface MenuItem {
  key: string;
  label: string;
  icon?: ReactNode;
  hint?: string;
  checked?: boolean;
  run: () => void;
}

/** A list of choices inside a Dropdown; arrow keys walk it. */
export function MenuList({ label, items }: { label: string; items: readonly MenuItem[] }) {
  return (
    <div
      role="group"
      aria-label={label}
      className={css.list}
      onKeyDown={(event) => {
        if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
        event.preventDefault();
        const buttons = [...event.currentTarget.querySelectorAll('button')];
        const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
        buttons[(at + (event.key === 'ArrowDown' ? 1 : -1) + buttons.length) % buttons.length]?.focus();
      }}
    >
      {items.map((item, index) => (
        <button
          key={item.key}
          type="button"
          className={css.item}
          aria-pressed={item.checked}
          // biome-ignore lint/a11y/noAutofocus: the box was opened by the person a moment ago
          autoFocus={item.checked ?? index === 0}
          onClick={item.run}
        >
          {item.icon}
          <span className={css.label}>{item.label}</span>
          {item.hint && <kbd className={css.hint}>{item.hint}</kbd>}
        </button>
      ))}
    </div>
  );
}
