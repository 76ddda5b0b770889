// SPDX-License-Identifier: Apache-2.0
import { IconArrowsDiff, IconChevronDown } from '@tabler/icons-react';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Dropdown } from '../ui/Dropdown';
import { MenuList } from '../ui/MenuList';
import { compareLabel, parseCompare } from './compare';
import css from './TimeBar.module.css';
import type { TimeControls } from './useTime';

const CHOICES = ['', 'previous', '1d', '1w'] as const;

/** Which older period is drawn over this one. */
export function CompareControl({
  time,
  panel,
}: {
  time: Pick<TimeControls, 'compare' | 'setCompare'>;
  /** The panel that is compared; without it the page. */
  panel?: string;
}) {
  const { t } = useTranslation();
  const { compare } = time;
  const custom = compare !== '' && !CHOICES.some((c) => c === compare);
  const name = compareLabel(compare, t);
  return (
    <Dropdown
      label={panel ? t('compare.choosePanel', { panel, current: name }) : t('compare.choose', { current: name })}
      {...(panel ? {} : { prefix: t('compare.title') })}
      align="end"
      triggerClass={panel ? css.panelTrigger : compare === '' ? css.trigger : css.onTrigger}
      trigger={
        <>
          <IconArrowsDiff size={15} aria-hidden />
          {compare !== '' && <span>{name}</span>}
          {!panel && <IconChevronDown size={14} aria-hidden />}
        </>
      }
    >
      {(close) => (
        <>
          <MenuList
            label={t('compare.title')}
            items={[...CHOICES, ...(custom ? [compare] : [])].map((choice) => ({
              key: choice,
              label: compareLabel(choice, t),
              checked: choice === compare,
              run: () => {
                time.setCompare(choice);
                close();
              },
            }))}
          />
          <CustomShift
            onApply={(next) => {
              time.setCompare(next);
              close();
            }}
          />
        </>
      )}
    </Dropdown>
  );
}

function CustomShift({ onApply }: { onApply: (compare: string) => void }) {
  const { t } = useTranslation();
  const [text, setText] = useState('');
  const id = useId();
  const parsed = parseCompare(text);
  const bad = text.trim() !== '' && parsed === null;
  return (
    <form
      className={css.custom}
      onSubmit={(event) => {
        event.preventDefault();
        if (parsed) onApply(parsed);
      }}
    >
      <label htmlFor={id}>{t('compare.custom')}</label>
      <input
        id={id}
        value={text}
        placeholder="2d"
        autoComplete="off"
        aria-invalid={bad}
        aria-describedby={bad ? `${id}-bad` : undefined}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      {bad && (
        <p id={`${id}-bad`} className={css.bad}>
          {t('compare.invalid')}
        </p>
      )}
    </form>
  );
}
