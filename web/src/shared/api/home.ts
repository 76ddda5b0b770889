// SPDX-License-Identifier: Apache-2.0
import { queryOptions } from '@tanstack/react-query';
import type { components } from './generated';
import { request } from './request';

export type HomeData = components['schemas']['Home'];
export type HostSummary = HomeData['hosts'][number];
export type HealthItem = HomeData['health'][number];

/** One request for the whole page; asked again every few seconds, faster while nothing has arrived yet. */
export const homeQuery = queryOptions({
  queryKey: ['home'],
  queryFn: ({ signal }) => request<HomeData>('/api/ui/home', { signal }),
  refetchInterval: (query) => (query.state.data && hasData(query.state.data) ? 5000 : 1500),
  staleTime: 1000,
});

export function hasData(home: HomeData): boolean {
  return home.lastSampleMs > 0;
}
