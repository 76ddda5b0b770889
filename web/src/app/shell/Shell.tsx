// SPDX-License-Identifier: Apache-2.0
import { Outlet, useNavigate, useRouterState, useSearch } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { lazyChunk } from '@/shared/api/chunks';
import { useHotkeys } from '@/shared/keys/useHotkeys';
import { BottomBar } from './BottomBar';
import { ConnectionBanner } from './ConnectionBanner';
import { NavRail } from './NavRail';
import css from './Shell.module.css';

const loadPalette = () => import('./Palette');
const loadShortcuts = () => import('./ShortcutsOverlay');
const Palette = lazyChunk(loadPalette);
const ShortcutsOverlay = lazyChunk(loadShortcuts);

/** Frame of every page: rail or bottom bar, the page, and what may open above it. */
export function Shell({ children }: { children?: ReactNode }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [palette, setPalette] = useState(false);
  const [shortcuts, setShortcuts] = useState(false);
  const path = useRouterState({ select: (s) => s.location.pathname });
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const kiosk = search.kiosk !== undefined;
  const main = useRef<HTMLElement>(null);
  const firstPath = useRef(path);

  const previousPanel = () => focusPanel(-1);
  const setKiosk = (on: boolean) =>
    void navigate({ to: '.', search: ((old: object) => ({ ...old, kiosk: on ? 'tv' : undefined })) as never });
  useHotkeys({
    ['N' as string]: previousPanel,
    'g h': () => void navigate({ to: '/' }),
    'g e': () => void navigate({ to: '/explore' }),
    'g s': () => void navigate({ to: '/hosts' }),
    'g m': () => void navigate({ to: '/admin/about' }),
    'g p': () => void navigate({ to: '/me' }),
    'mod+k': () => setPalette(true),
    '/': () => focusSearch() || setPalette(true),
    '?': () => setShortcuts(true),
    n: () => focusPanel(1),
    'p x': exploreCurrentPanel,
    'd k': () => setKiosk(!kiosk),
    ...(kiosk ? { escape: () => setKiosk(false) } : {}),
  });

  // Fetched ahead, as they are wanted most when the server does not answer.
  useEffect(() => {
    const ahead = () => void Promise.all([loadPalette(), loadShortcuts()]).catch(() => undefined);
    const timer = setTimeout(ahead, 3000);
    return () => clearTimeout(timer);
  }, []);

  // A page change moves the focus to the new page, as a full load would.
  useEffect(() => {
    if (firstPath.current === path) return;
    firstPath.current = path;
    main.current?.focus({ preventScroll: true });
  }, [path]);

  useEffect(() => {
    const expired = () => {
      if (location.pathname.endsWith('/login') || location.pathname.endsWith('/setup')) return;
      const next = location.pathname.slice(boot.basePath.length) + location.search;
      void navigate({ to: '/login', search: { next, expired: '1' } as never });
    };
    window.addEventListener('tocayo:session-expired', expired);
    return () => window.removeEventListener('tocayo:session-expired', expired);
  }, [navigate]);

  return (
    <div className={css.shell}>
      <a href="#main" className={css.skip}>
        {t('nav.skip')}
      </a>
      {!kiosk && <NavRail onSearch={() => setPalette(true)} onShortcuts={() => setShortcuts(true)} />}
      <main id="main" ref={main} tabIndex={-1} className={css.main}>
        <ConnectionBanner />
        {children ?? <Outlet />}
      </main>
      {!kiosk && <BottomBar onSearch={() => setPalette(true)} />}
      {palette && <Palette onClose={() => setPalette(false)} onShortcuts={() => setShortcuts(true)} />}
      {shortcuts && <ShortcutsOverlay onClose={() => setShortcuts(false)} />}
    </div>
  );
}

function focusSearch(): boolean {
  const field = document.querySelector<HTMLInputElement>('main input[type="search"]');
  field?.focus();
  return field !== null;
}

/** The panel that has the focus, else the one under the pointer. */
function currentPanel(): HTMLElement | null {
  return document.activeElement?.closest<HTMLElement>('[data-panel]') ?? document.querySelector('[data-panel]:hover');
}

function exploreCurrentPanel(): void {
  currentPanel()?.querySelector<HTMLElement>('a[href*="/explore"]')?.click();
}

function focusPanel(direction: 1 | -1): void {
  const panels = [...document.querySelectorAll<HTMLElement>('[data-panel]')];
  if (panels.length === 0) return;
  const at = panels.findIndex((p) => p.contains(document.activeElement));
  const next = at < 0 ? (direction > 0 ? 0 : panels.length - 1) : (at + direction + panels.length) % panels.length;
  const panel = panels[next];
  const target = panel?.querySelector<HTMLElement>('[tabindex="0"], button, a');
  target?.focus();
  panel?.scrollIntoView({ block: 'nearest' });
}
