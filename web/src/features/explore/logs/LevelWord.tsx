// SPDX-License-Identifier: Apache-2.0
import { useTranslation } from 'react-i18next';
import css from './Logs.module.css';
import type { Level } from './lines';

/** Colour and word: never colour alone. */
export function LevelWord({ level }: { level: Level }) {
  const { t } = useTranslation('explore');
  return (
    <span className={css.level} data-level={level}>
      {t(`logs.level.${level}`)}
    </span>
  );
}
