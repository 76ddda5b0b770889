// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Draft } from '../drafts';
import css from './DraftNotice.module.css';

/** Says that a form holds what was typed earlier, and offers to begin anew. */
export function DraftNotice({ draft }: { draft: Pick<Draft<object>, 'restored' | 'reset'> }) {
  const { t } = useTranslation();
  if (!draft.restored) return null;
  return (
    <div className={css.notice} role="status">
      <span>{t('draft.restored')}</span>
      <Button variant="default" onClick={draft.reset}>
        {t('draft.reset')}
      </Button>
    </div>
  );
}
