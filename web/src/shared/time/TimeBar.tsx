// SPDX-License-Identifier: Apache-2.0
import {
  IconBroadcast,
  IconChevronDown,
  IconChevronLeft,
  IconChevronRight,
  IconClock,
  IconLock,
  IconLockOpen,
  IconRefresh,
  IconZoomOut,
} from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { announce } from '../a11y/announce';
import { lazyChunk } from '../api/chunks';
import { useHotkeys } from '../keys/useHotkeys';
import { useStore } from '../store';
import { copyText } from '../ui/clipboard';
import { Dropdown } from '../ui/Dropdown';
import { IconButton } from '../ui/IconButton';
import { MenuList } from '../ui/MenuList';
import { Message } from '../ui/Message';
import { CompareControl } from './CompareControl';
import { formatOffset } from './format';
import { rangeLabel } from './label';
import { lockRange, timeLock } from './lock';
import { absolute, shiftRange, zoomOut } from './range';
import css from './TimeBar.module.css';
import { REFRESH_CHOICES, type TimeControls } from './useTime';
import { browserZone, offsetAt, resolveZone } from './zone';

const TimePanel = lazyChunk(() => import('./TimePanel'));

interface Props {
  time: TimeControls;
  /** Offers Live. */
  live?: boolean;
  busy?: boolean;
  shortcuts?: boolean;
  /** Offers to keep the range from page to page. */
  lockable?: boolean;
}

export function zoneLabel(zone: string, ms: number): string {
  const iana = resolveZone(zone);
  if (iana === 'UTC') return 'UTC';
  return zone === 'browser' ? formatOffset(offsetAt(ms, browserZone())) : iana;
}

/** This page with its range fixed: what somebody else opens later shows the same. */
function linkAtMoment(time: TimeControls): string {
  const url = new URL(location.href);
  const { from, to } = absolute(time.range);
  for (const [key, value] of Object.entries({ from, to, timezone: resolveZone(time.zone), refresh: 'off' }))
    url.searchParams.set(key, value);
  return url.href;
}

/** Range, zone, back, forward, zoom out and refresh: the same bar on every page that has a time range. */
export function TimeBar({ time, live = true, busy, shortcuts = true, lockable = true }: Props) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const move = (direction: -1 | 1) => time.setRange(absolute(shiftRange(time.range, direction)));
  const widen = () => time.setRange(absolute(zoomOut(time.range)));
  const narrow = () => {
    const quarter = (time.range.toMs - time.range.fromMs) / 4;
    time.setRange(absolute({ fromMs: time.range.fromMs + quarter, toMs: time.range.toMs - quarter }));
  };
  useHotkeys(
    shortcuts
      ? {
          't left': () => move(-1),
          't right': () => move(1),
          't -': widen,
          't +': narrow,
          't a': () => time.setRange(absolute(time.range)),
          't o': () => setOpen(true),
          't s': () => void copyText(linkAtMoment(time)).then(() => announce(t('copy.done'))),
          'mod+z': widen,
          // Every range that a person chose is a step of the history.
          'alt+left': () => history.back(),
          'alt+right': () => history.forward(),
          'd r': time.refreshNow,
        }
      : {},
  );
  const label = rangeLabel(time.raw, time.range, time.zone, t);
  return (
    <div className={css.group}>
      <div className={css.bar} role="group" aria-label={t('time.title')}>
        <IconButton framed label={t('time.back')} icon={<IconChevronLeft aria-hidden />} onClick={() => move(-1)} />
        <Dropdown
          label={t('time.pick', { range: label })}
          prefix={t('time.title')}
          align="end"
          open={open}
          onOpenChange={setOpen}
          trigger={
            <>
              <IconClock aria-hidden />
              <span className={css.label}>{label}</span>{' '}
              <span className={css.zone}>{zoneLabel(time.zone, time.range.toMs)}</span>
              <IconChevronDown aria-hidden />
            </>
          }
        >
          {(close) => <TimePanel hold={<div className={css.waiting} aria-busy="true" />} time={time} close={close} />}
        </Dropdown>
        <IconButton framed label={t('time.forward')} icon={<IconChevronRight aria-hidden />} onClick={() => move(1)} />
        <IconButton framed label={t('time.zoomOut')} icon={<IconZoomOut aria-hidden />} onClick={widen} />
        {lockable && <LockButton time={time} />}
        <CompareControl time={time} />
        <RefreshControl time={time} live={live} busy={busy ?? false} />
      </div>
      {time.notices.map((what) => (
        <Message key={what} level="warning">
          {t(`time.notice.${what}`)}
        </Message>
      ))}
    </div>
  );
}

/** While closed, the range goes along to other pages of this tab. */
function LockButton({ time }: { time: TimeControls }) {
  const { t } = useTranslation();
  const locked = useStore(timeLock) !== null;
  return (
    <IconButton
      framed
      label={t('time.lock')}
      active={locked}
      icon={locked ? <IconLock aria-hidden /> : <IconLockOpen aria-hidden />}
      onClick={() => {
        lockRange(locked ? null : time.raw);
        announce(t(locked ? 'time.unlocked' : 'time.locked'));
      }}
    />
  );
}

function RefreshControl({ time, live, busy }: { time: TimeControls; live: boolean; busy: boolean }) {
  const { t } = useTranslation();
  const name = (choice: string) =>
    choice === ''
      ? t('refresh.off')
      : choice === 'auto'
        ? t('refresh.auto')
        : choice === 'live'
          ? t('refresh.live')
          : choice;
  const choices = [...(live ? ['live'] : []), ...REFRESH_CHOICES];
  const current = time.live ? 'live' : time.refresh === 'live' ? '' : time.refresh;
  return (
    <div className={css.refresh}>
      {!time.live && (
        <IconButton
          framed
          label={t('refresh.now')}
          className={busy ? css.busy : undefined}
          icon={<IconRefresh aria-hidden />}
          onClick={time.refreshNow}
        />
      )}
      <Dropdown
        label={t('refresh.choose', { current: name(current) })}
        prefix={t('refresh.title')}
        align="end"
        triggerClass={time.live ? css.liveTrigger : css.trigger}
        trigger={
          <>
            {time.live && <IconBroadcast size={15} aria-hidden />}
            <span>{name(current)}</span>
            <IconChevronDown size={14} aria-hidden />
          </>
        }
      >
        {(close) => (
          <MenuList
            label={t('refresh.title')}
            items={choices.map((choice) => ({
              key: choice,
              label: name(choice),
              checked: choice === current,
              run: () => {
                time.setRefresh(choice);
                close();
              },
            }))}
          />
        )}
      </Dropdown>
    </div>
  );
}
