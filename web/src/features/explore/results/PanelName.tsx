// SPDX-License-Identifier: Apache-2.0
import { useTranslation } from 'react-i18next';

/** Panels of several panes have the same title on the screen: to those who hear it, the pane tells them apart. */
export function PanelName({ name, pane }: { name: string; pane: string }) {
  const { t } = useTranslation('explore');
  return (
    <>
      {name}
      <span className="sr-only">{` – ${t('pane', { id: pane.toUpperCase() })}`}</span>
    </>
  );
}
