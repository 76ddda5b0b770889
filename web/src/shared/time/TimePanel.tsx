// SPDX-License-Identifier: Apache-2.0
import '@mantine/core/styles/Input.css';
import '@mantine/core/styles/InlineInput.css';
import { Button, TextInput } from '@mantine/core';
import { IconCalendar, IconClipboard } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyChunk } from '../api/chunks';
import { useStore } from '../store';
import { CopyButton } from '../ui/CopyButton';
import { IconButton } from '../ui/IconButton';
import { formatStamp } from './format';
import { rangeLabel } from './label';
import { evaluate, isRelative } from './math';
import { parseFreeText } from './parse';
import { QUICK_RANGES } from './quickRanges';
import { type RawRange, resolveRange } from './range';
import { recentRanges } from './recent';
import css from './TimeBar.module.css';
import type { TimeControls } from './useTime';
import { ZoneSelect } from './ZoneSelect';

const Calendar = lazyChunk(() => import('./Calendar'));

interface Props {
  time: TimeControls;
  close: () => void;
}

/** Absolute ends are shown as civil time of the zone, relative ones as written. */
function editable(value: string, time: TimeControls, up: boolean): string {
  if (isRelative(value) || value.includes('||')) return value;
  const ms = evaluate(value, up, time.context());
  return ms === null ? value : formatStamp(ms, time.zone, ms % 1000 !== 0).replace(/\.000$/, '');
}

export default function TimePanel({ time, close }: Props) {
  const { t } = useTranslation();
  const [free, setFree] = useState('');
  const [calendar, setCalendar] = useState(false);
  const [draft, setDraft] = useState<RawRange>({
    from: editable(time.raw.from, time, false),
    to: editable(time.raw.to, time, true),
  });
  const recent = useStore(recentRanges);
  const apply = (range: RawRange) => {
    time.setRange(range);
    close();
  };
  const needle = free.trim().toLowerCase();
  const typed = useMemo(() => parseFreeText(free, time.context()), [free, time]);
  const quick = QUICK_RANGES.filter((q) => typed !== null || needle === '' || t(q.key).toLowerCase().includes(needle));
  const fromBad = evaluate(draft.from, false, time.context()) === null;
  const toBad = evaluate(draft.to, true, time.context()) === null;
  const reversed = !fromBad && !toBad && resolveRange(draft, time.context()) === null;
  const normal = (value: string, up: boolean) => {
    if (isRelative(value)) return value.replace(/\s+/g, '');
    return value.includes('||') ? value : String(evaluate(value, up, time.context()) ?? value);
  };
  const paste = async () => {
    const text = await navigator.clipboard?.readText().catch(() => '');
    const range = parseFreeText(text ?? '', time.context());
    if (range) apply(range);
    else setFree(text ?? '');
  };

  if (calendar)
    return (
      <div className={css.calendar}>
        <Calendar
          hold={<div className={css.waiting} aria-busy="true" />}
          range={time.range}
          zone={time.zone}
          onPick={(from, to) => {
            setDraft({ from, to });
            setCalendar(false);
          }}
          onBack={() => setCalendar(false)}
        />
      </div>
    );

  return (
    <div className={css.panel}>
      <div className={css.side}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (!fromBad && !toBad && !reversed) apply({ from: normal(draft.from, false), to: normal(draft.to, true) });
          }}
        >
          <TextInput
            label={t('time.from')}
            value={draft.from}
            error={fromBad ? t('time.invalid') : null}
            onChange={(event) => setDraft({ ...draft, from: event.currentTarget.value })}
          />
          <TextInput
            label={t('time.to')}
            value={draft.to}
            mt={6}
            error={toBad ? t('time.invalid') : reversed ? t('time.reversed') : null}
            onChange={(event) => setDraft({ ...draft, to: event.currentTarget.value })}
          />
          <div className={css.foot} style={{ marginBlockStart: 10 }}>
            <Button type="submit" disabled={fromBad || toBad || reversed}>
              {t('action.apply')}
            </Button>
            <IconButton
              framed
              label={t('time.calendar')}
              icon={<IconCalendar aria-hidden />}
              onClick={() => setCalendar(true)}
            />
            <CopyButton framed value={() => JSON.stringify(time.raw)} label={t('time.copy')} />
            <IconButton
              framed
              label={t('time.paste')}
              icon={<IconClipboard aria-hidden />}
              onClick={() => void paste()}
            />
          </div>
        </form>
        <ZoneSelect value={time.zone} onChange={time.setZone} />
        {recent.length > 0 && (
          <div className={css.recent}>
            <h3>{t('time.recent')}</h3>
            {recent.map((r) => {
              const resolved = resolveRange(r, time.context());
              if (!resolved) return null;
              return (
                <button key={`${r.from}|${r.to}`} type="button" onClick={() => apply(r)}>
                  {rangeLabel(r, resolved, time.zone, t)}
                </button>
              );
            })}
          </div>
        )}
      </div>
      <div className={css.main}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const first = quick[0];
            if (typed) apply(typed);
            else if (first && needle !== '') apply({ from: first.from, to: first.to });
          }}
        >
          <TextInput
            aria-label={t('time.freeLabel')}
            placeholder={t('time.freePlaceholder')}
            value={free}
            // A touch keyboard would cover the list.
            autoFocus={!matchMedia('(pointer: coarse)').matches}
            error={free !== '' && !typed && quick.length === 0 ? t('time.invalid') : null}
            onChange={(event) => setFree(event.currentTarget.value)}
          />
        </form>
        {typed && (
          <p className={css.hint}>
            {t('time.means', {
              range: rangeLabel(typed, resolveRange(typed, time.context()) ?? time.range, time.zone, t),
            })}
          </p>
        )}
        <div className={css.quick} role="group" aria-label={t('time.quick')}>
          {quick.map((q) => (
            <button
              key={q.key}
              type="button"
              aria-pressed={q.from === time.raw.from && q.to === time.raw.to}
              onClick={() => apply({ from: q.from, to: q.to })}
            >
              {t(q.key)}
            </button>
          ))}
        </div>
      </div>
    </div>
  );
}
