// SPDX-License-Identifier: Apache-2.0
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { announce } from '../a11y/announce';
import { copyText } from './clipboard';
import { IconButton } from './IconButton';

interface Props {
  value: string | (() => string | Promise<string>);
  label: string;
  text?: string;
  framed?: boolean;
  icon?: ReactNode;
}

/** Copies and says so once, quietly, in place. */
export function CopyButton({ value, label, text, framed, icon }: Props) {
  const { t } = useTranslation();
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => {
    await copyText(typeof value === 'function' ? await value() : value);
    setDone(true);
    announce(t('copy.done'));
  };
  return (
    <IconButton
      label={done ? t('copy.done') : label}
      text={text ? (done ? t('copy.done') : text) : undefined}
      framed={framed ?? false}
      icon={done ? <IconCheck aria-hidden /> : (icon ?? <IconCopy aria-hidden />)}
      onClick={() => void copy()}
    />
  );
}
