// SPDX-License-Identifier: Apache-2.0
import { QueryClient } from '@tanstack/react-query';
import { reachability } from '@/shared/api/reachability';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      retry: false, // request() retries what is safe to retry
      staleTime: 5_000,
      gcTime: 5 * 60_000,
      refetchOnWindowFocus: false,
      // Offline of the browser says nothing about a server on this machine.
      networkMode: 'always',
    },
    mutations: { networkMode: 'always' },
  },
});

/** What failed while the server was away is asked again when it is back. */
reachability.subscribe(() => {
  if (reachability.get().up) void queryClient.refetchQueries({ predicate: (query) => query.state.status === 'error' });
});
