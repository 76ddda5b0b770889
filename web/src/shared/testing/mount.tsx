// SPDX-License-Identifier: Apache-2.0
// A page or a part of one as the app would show it: texts, theme, query cache and an address.
import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  Outlet,
  RouterProvider,
} from '@tanstack/react-router';
import { cleanup, render } from '@testing-library/react';
import type { FunctionComponent } from 'react';
import { afterEach, beforeAll } from 'vitest';
import { i18n, loadCatalogues, startI18n } from '../i18n';
import { handleKey } from '../keys/hotkeys';
import { prefs } from '../prefs';
import { parseSearch, stringifySearch } from '../url/search';

/** Texts of these areas, in English, for the whole file. */
export function withTexts(...areas: string[]): void {
  beforeAll(async () => {
    prefs.set((p) => ({ ...p, language: 'en', timezone: 'utc', hour12: false }));
    if (!i18n.isInitialized) await startI18n();
    await loadCatalogues(...areas);
  });
  afterEach(cleanup);
}

export interface Mounted {
  container: HTMLElement;
  client: QueryClient;
  /** Path and search of now. */
  address: () => string;
  search: () => Record<string, unknown>;
  go: (address: string) => void;
}

/** Shows what belongs to the address; any other path shows its own name. */
export async function mount(pages: Record<string, FunctionComponent>, at = '/'): Promise<Mounted> {
  const root = createRootRoute({
    component: () => (
      <>
        <Outlet />
        <div id="announcer" aria-live="polite" />
      </>
    ),
    validateSearch: (search: Record<string, unknown>) => search,
  });
  const children = Object.entries(pages).map(([path, component]) =>
    createRoute({ getParentRoute: () => root, path, component }),
  );
  const elsewhere = createRoute({ getParentRoute: () => root, path: '$', component: () => <p>elsewhere</p> });
  const history = createMemoryHistory({ initialEntries: [at] });
  const router = createRouter({
    routeTree: root.addChildren([...children, elsewhere]),
    history,
    parseSearch,
    stringifySearch,
  });
  const client = new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: 'always' } } });
  window.addEventListener('keydown', handleKey);
  await router.load();
  const { container } = render(
    <MantineProvider env="test">
      <QueryClientProvider client={client}>
        <RouterProvider router={router as never} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return {
    container,
    client,
    address: () => router.state.location.href,
    search: () => router.state.location.search as Record<string, unknown>,
    go: (address) => history.push(address),
  };
}
