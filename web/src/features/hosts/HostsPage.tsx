// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { homeQuery } from '@/shared/api/home';
import { HostTable } from '@/shared/metrics/HostTable';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { Page } from '@/shared/ui/Page';
import { Panel } from '@/shared/ui/Panel';
import { SearchField } from '@/shared/ui/SearchField';
import { text } from '@/shared/url/search';

export function HostsPage() {
  const { t } = useTranslation('hosts');
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const filter = text(search.q) ?? '';
  const setFilter = (q: string) =>
    void navigate({
      to: '.',
      replace: true,
      search: ((previous: object) => ({ ...previous, q: q || undefined })) as never,
    });
  const home = useQuery(homeQuery);
  const hosts = home.data?.hosts ?? [];
  const needle = filter.toLowerCase();
  const shown = hosts.filter((h) => `${h.hostname} ${h.instance} ${h.os} ${h.job}`.toLowerCase().includes(needle));

  let state: RegionState = { kind: 'ready' };
  if (!home.data) state = home.error ? stateOfError(home.error, () => void home.refetch()) : { kind: 'loading' };
  else if (hosts.length === 0)
    state = { kind: 'empty', why: t('none'), fixes: [{ label: t('noneFix'), run: () => void navigate({ to: '/' }) }] };
  else if (shown.length === 0)
    state = {
      kind: 'empty',
      why: t('filtered', { count: hosts.length }),
      fixes: [{ label: t('clearFilter'), run: () => setFilter('') }],
    };

  return (
    <Page title={t('title')} actions={<SearchField label={t('filter')} value={filter} onChange={setFilter} />}>
      <Panel title={t('all')} aside={home.data ? t('count', { count: shown.length }) : undefined} flush>
        <DataRegion state={state} minHeight={180}>
          <HostTable hosts={shown} caption={t('title')} />
        </DataRegion>
      </Panel>
    </Page>
  );
}
