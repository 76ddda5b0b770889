// SPDX-License-Identifier: Apache-2.0
import '@mantine/dates/styles.css';
import 'dayjs/locale/es';
import { Button } from '@mantine/core';
import { DatePicker } from '@mantine/dates';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { effectiveWeekStart, prefs } from '../prefs';
import { useStore } from '../store';
import css from './Calendar.module.css';
import type { Range } from './range';
import { toCivil, type Zone } from './zone';

interface Props {
  range: Range;
  zone: Zone;
  onPick: (from: string, to: string) => void;
  onBack: () => void;
}

const day = (ms: number, zone: Zone) => {
  const c = toCivil(ms, zone);
  return `${String(c.year).padStart(4, '0')}-${String(c.month).padStart(2, '0')}-${String(c.day).padStart(2, '0')}`;
};

/** Whole days, picked in two months at once; times are then edited in the fields. */
export default function Calendar({ range, zone, onPick, onBack }: Props) {
  const { t } = useTranslation();
  const { language } = useStore(prefs);
  const [value, setValue] = useState<[string | null, string | null]>([day(range.fromMs, zone), day(range.toMs, zone)]);
  const [from, to] = value;
  return (
    <div className={css.calendar}>
      <DatePicker
        type="range"
        allowSingleDateInRange
        weekendDays={[]}
        numberOfColumns={matchMedia('(max-width: 767px)').matches ? 1 : 2}
        locale={language}
        firstDayOfWeek={effectiveWeekStart() as 0 | 1 | 6}
        value={value}
        defaultDate={day(range.fromMs, zone)}
        onChange={setValue}
        ariaLabels={{ nextMonth: t('time.nextMonth'), previousMonth: t('time.previousMonth') }}
      />
      <div className={css.foot}>
        <Button variant="default" onClick={onBack}>
          {t('action.cancel')}
        </Button>
        <Button disabled={!from} onClick={() => onPick(`${from} 00:00:00`, `${to ?? from} 23:59:59`)}>
          {t('action.apply')}
        </Button>
      </div>
    </div>
  );
}
