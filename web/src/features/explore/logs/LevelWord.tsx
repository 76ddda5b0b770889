// SPDX-License-Identifier: Apache-2.0
import type { TFunction } from 'i18next';
import css from './Logs.module.css';
import type { Level } from './lines';

/** Colour and word: never colour alone. `t` comes from the list: asking for it in every line costs more than the line. */
export function LevelWord({ level, t }: { level: Level; t: TFunction<'explore'> }) {
  return (
    <span className={css.level} data-level={level}>
      {t(`logs.level.${level}`)}
    </span>
  );
}
