// SPDX-License-Identifier: Apache-2.0
import type { ReactNode } from 'react';
import css from './Message.module.css';
import { Severity, type SeverityName } from './Severity';

/** One framed line or block that says what is the matter. */
export function Message({ level, word, children }: { level: SeverityName; word?: string; children: ReactNode }) {
  const tone =
    level === 'critical' || level === 'major'
      ? css.critical
      : level === 'info' || level === 'ok'
        ? css.info
        : css.warning;
  return (
    <div className={`${css.message} ${tone}`} role={level === 'critical' ? 'alert' : 'status'}>
      <Severity level={level} {...(word ? { word } : {})} />
      <div className={css.text}>{children}</div>
    </div>
  );
}
