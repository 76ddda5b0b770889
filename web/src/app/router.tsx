// SPDX-License-Identifier: Apache-2.0
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type NotFoundRouteProps,
  redirect,
} from '@tanstack/react-router';
import { boot } from '@/shared/api/boot';
import { loadChunk } from '@/shared/api/chunks';
import { loadCatalogues } from '@/shared/i18n';
import { exploreSearch, panesFromPrometheus } from '@/shared/url/panes';
import { parseSearch, type RawSearch, stringifySearch } from '@/shared/url/search';
import { NotFound } from './NotFound';
import { RootLayout } from './RootLayout';
import { RouteError } from './RouteError';
import { Shell } from './shell/Shell';

const page: typeof lazyRouteComponent = (load, name) => lazyRouteComponent(() => loadChunk(load), name);

const anySearch = (search: Record<string, unknown>): RawSearch => search as RawSearch;

const rootRoute = createRootRoute({
  component: RootLayout,
  notFoundComponent: (_props: NotFoundRouteProps) => (
    <Shell>
      <NotFound />
    </Shell>
  ),
  errorComponent: RouteError,
  validateSearch: anySearch,
});

/** Pages inside the frame; with sign-in required they send strangers to the door, and back after it. */
const shellRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'shell',
  component: Shell,
  notFoundComponent: () => <NotFound />,
  beforeLoad: ({ location }) => {
    if (boot.authMode === 'required' && !boot.user)
      throw redirect({ to: '/login', search: { next: location.href } as never });
  },
});

const homeRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/',
  loader: () => loadCatalogues('home', 'hosts'),
  component: page(() => import('@/features/home/HomePage'), 'HomePage'),
});

const exploreRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/explore',
  loader: () => loadCatalogues('explore'),
  component: page(() => import('@/features/explore/ExplorePage'), 'ExplorePage'),
});

const toExplore = ({ search }: { search: Record<string, unknown> }) => {
  throw redirect({ to: '/explore', search: exploreSearch(panesFromPrometheus(search)) as never, replace: true });
};

const graphRoute = createRoute({ getParentRoute: () => shellRoute, path: '/graph', beforeLoad: toExplore });
const queryRoute = createRoute({ getParentRoute: () => shellRoute, path: '/query', beforeLoad: toExplore });

const hostsRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/hosts',
  loader: () => loadCatalogues('hosts'),
  component: page(() => import('@/features/hosts/HostsPage'), 'HostsPage'),
});

const hostRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/hosts/$instance',
  loader: () => loadCatalogues('hosts'),
  component: page(() => import('@/features/hosts/HostPage'), 'HostPage'),
});

const meRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/me',
  loader: () => loadCatalogues('profile'),
  component: page(() => import('@/features/profile/ProfilePage'), 'ProfilePage'),
});

const adminRoute = createRoute({
  getParentRoute: () => shellRoute,
  path: '/admin',
  loader: () => loadCatalogues('admin'),
  component: page(() => import('@/features/admin/AdminLayout'), 'AdminLayout'),
});

const adminIndex = createRoute({
  getParentRoute: () => adminRoute,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/admin/about', replace: true });
  },
});
const aboutRoute = createRoute({
  getParentRoute: () => adminRoute,
  path: '/about',
  component: page(() => import('@/features/admin/AboutPage'), 'AboutPage'),
});
const usersRoute = createRoute({
  getParentRoute: () => adminRoute,
  path: '/users',
  component: page(() => import('@/features/admin/UsersPage'), 'UsersPage'),
});
const tokensRoute = createRoute({
  getParentRoute: () => adminRoute,
  path: '/tokens',
  component: page(() => import('@/features/admin/TokensPage'), 'TokensPage'),
});
const tenantsRoute = createRoute({
  getParentRoute: () => adminRoute,
  path: '/tenants',
  component: page(() => import('@/features/admin/TenantsPage'), 'TenantsPage'),
});
const auditRoute = createRoute({
  getParentRoute: () => adminRoute,
  path: '/audit',
  component: page(() => import('@/features/admin/AuditPage'), 'AuditPage'),
});

const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/login',
  loader: () => loadCatalogues('auth'),
  component: page(() => import('@/features/auth/LoginPage'), 'LoginPage'),
});
const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/setup',
  loader: () => loadCatalogues('auth'),
  component: page(() => import('@/features/auth/SetupPage'), 'SetupPage'),
});

const routeTree = rootRoute.addChildren([
  shellRoute.addChildren([
    homeRoute,
    exploreRoute,
    graphRoute,
    queryRoute,
    hostsRoute,
    hostRoute,
    meRoute,
    adminRoute.addChildren([adminIndex, aboutRoute, usersRoute, tokensRoute, tenantsRoute, auditRoute]),
  ]),
  loginRoute,
  setupRoute,
]);

export const router = createRouter({
  routeTree,
  basepath: boot.basePath || '/',
  parseSearch,
  stringifySearch,
  defaultPreload: 'intent',
  defaultPreloadStaleTime: 60_000,
  scrollRestoration: true,
  defaultErrorComponent: RouteError,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
