// SPDX-License-Identifier: Apache-2.0
import {
  IconAlertCircle,
  IconAlertOctagon,
  IconAlertTriangle,
  IconCircleCheck,
  IconHelpCircle,
  IconInfoCircle,
} from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import css from './Severity.module.css';

export type SeverityName = 'critical' | 'major' | 'warning' | 'minor' | 'info' | 'ok' | 'unknown';

const ICONS = {
  critical: IconAlertOctagon,
  major: IconAlertCircle,
  warning: IconAlertTriangle,
  minor: IconAlertTriangle,
  info: IconInfoCircle,
  ok: IconCircleCheck,
  unknown: IconHelpCircle,
};

/** Colour, icon and word: never colour alone. */
export function Severity({ level, word }: { level: SeverityName; word?: string }) {
  const { t } = useTranslation();
  const Icon = ICONS[level];
  return (
    <span className={`${css.badge} ${css[level]}`}>
      <Icon size={14} stroke={2} aria-hidden />
      {word ?? t(`severity.${level}`)}
    </span>
  );
}
