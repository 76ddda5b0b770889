// SPDX-License-Identifier: Apache-2.0
import { useTranslation } from 'react-i18next';
import { Choice } from '@/shared/ui/Choice';
import type { PaneSource } from '@/shared/url/panes';

/** What a pane asks: the metrics store or the log store. */
export function SourceChoice({ value, onChange }: { value: PaneSource; onChange: (source: PaneSource) => void }) {
  const { t } = useTranslation('explore');
  return (
    <Choice<PaneSource>
      label={t('source')}
      hideLabel
      value={value}
      onChange={(source) => source !== value && onChange(source)}
      options={[
        { value: 'metrics', label: t('source.metrics') },
        { value: 'logs', label: t('source.logs') },
      ]}
    />
  );
}
