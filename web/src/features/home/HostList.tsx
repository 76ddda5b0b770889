// SPDX-License-Identifier: Apache-2.0
import { useTranslation } from 'react-i18next';
import type { HostSummary } from '@/shared/api/home';
import { HostTable } from '@/shared/metrics/HostTable';
import { Panel } from '@/shared/ui/Panel';

/** The busiest machines; the whole list has its own page. */
export function HostList({ hosts }: { hosts: HostSummary[] }) {
  const { t } = useTranslation('home');
  const busiest = [...hosts].sort((a, b) => (b.cpu ?? 0) - (a.cpu ?? 0)).slice(0, 8);
  return (
    <Panel title={t('hosts.title')} aside={t('hosts.count', { count: hosts.length })} flush>
      <HostTable hosts={busiest} caption={t('hosts.title')} />
    </Panel>
  );
}
