// SPDX-License-Identifier: Apache-2.0
// Labels of logs with very many values: each value is a stream of its own, until the server keeps the label with the lines.
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/shared/api/request';

export interface GrowingLabel {
  label: string;
  values_today: number;
  /** Kept with each line: it splits no more streams. */
  spilled: boolean;
  spilled_since?: string;
  /** Address that sent the newest value; empty when it is not known. */
  sender?: string;
}

export interface LabelGrowth {
  /** Values a day from which a label is spilled; 0: never. */
  limit: number;
  labels: GrowingLabel[];
}

/** Asked for seldom: it moves by the hour. Who may not read logs, or asks a server without this, sees nothing of it. */
export const labelGrowthQuery = queryOptions({
  queryKey: ['label_growth'],
  queryFn: async ({ signal }): Promise<LabelGrowth> => {
    const { limit, data } = await request<{ limit: number; data: GrowingLabel[] | null }>('/logs/api/v1/label_growth', {
      signal,
    });
    return { limit, labels: data ?? [] };
  },
  staleTime: 60_000,
  refetchInterval: 60_000,
});
