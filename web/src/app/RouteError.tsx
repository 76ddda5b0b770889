// SPDX-License-Identifier: Apache-2.0
import { type ErrorComponentProps, useRouter } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { DataRegion } from '@/shared/ui/DataRegion';
import { Page } from '@/shared/ui/Page';

/** A page that threw: the frame stays, the sentence says so, and trying again is one click. */
export function RouteError({ error, reset }: ErrorComponentProps) {
  const { t } = useTranslation();
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  return (
    <Page title={t('error.page')}>
      <DataRegion state={{ kind: 'error', error, retry }} />
    </Page>
  );
}
