// SPDX-License-Identifier: Apache-2.0
import { IconBolt, IconChartLine, IconFileText, IconSearch, IconServer2, IconTag } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { boot } from '@/shared/api/boot';
import { request } from '@/shared/api/request';
import { Dialog } from '@/shared/ui/Dialog';
import { emptyPane, exploreSearch } from '@/shared/url/panes';
import { type Command, type CommandContext, score, staticCommands, timeCommand } from './commands';
import css from './Palette.module.css';

interface SearchResult {
  kind: 'metric' | 'host' | 'page' | 'label_value';
  title: string;
  subtitle?: string;
  href: string;
}

const ICONS = { page: IconFileText, action: IconBolt, metric: IconChartLine, host: IconServer2, label_value: IconTag };
const RECENT = 'tocayo.palette';

function recents(): string[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(RECENT) ?? '[]');
    return Array.isArray(list) ? list.map(String) : [];
  } catch {
    return [];
  }
}

function remember(id: string): void {
  try {
    localStorage.setItem(RECENT, JSON.stringify([id, ...recents().filter((r) => r !== id)].slice(0, 8)));
  } catch {
    // Private mode.
  }
}

function useServerResults(text: string) {
  return useQuery({
    queryKey: ['search', text],
    queryFn: ({ signal }) =>
      request<{ results: SearchResult[]; warnings: string[] }>(
        `/api/ui/search?q=${encodeURIComponent(text)}&limit=30`,
        { signal },
      ),
    enabled: text.trim().length > 0,
    placeholderData: (previous) => (text.trim() === '' ? undefined : previous),
    staleTime: 10_000,
  });
}

export default function Palette({ onClose, onShortcuts }: { onClose: () => void; onShortcuts: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const [active, setActive] = useState(0);
  const listId = useId();
  const list = useRef<HTMLDivElement>(null);
  const found = useServerResults(text);

  const context: CommandContext = useMemo(
    () => ({
      t,
      go: (path, search) => void navigate({ to: path as '/', ...(search ? { search: search as never } : {}) }),
      setTime: (from, to) =>
        void navigate({
          to: '.',
          search: ((previous: Record<string, unknown>) => ({ ...previous, from, to, refresh: 'off' })) as never,
        }),
      shortcuts: onShortcuts,
    }),
    [t, navigate, onShortcuts],
  );

  const commands = useMemo((): Command[] => {
    const recent = recents();
    const own = staticCommands(context)
      .map((command) => ({
        command,
        points: score(text.trim(), command.title) + (recent.includes(command.id) ? 5 : 0),
      }))
      .filter(({ points }) => points >= 1 && (text.trim() === '' || points > 5))
      .sort((a, b) => b.points - a.points)
      .map(({ command }) => command);
    const server = (found.data?.results ?? [])
      .filter((r) => r.kind !== 'page')
      .map(
        (r): Command => ({
          id: `${r.kind}:${r.title}`,
          kind: r.kind,
          title: r.title,
          ...(r.subtitle ? { subtitle: r.subtitle } : {}),
          run: () => open(r, context),
        }),
      );
    const time = text.trim() === '' ? null : timeCommand(text, context);
    return [...(time ? [time] : []), ...own, ...server];
  }, [text, context, found.data]);

  const count = commands.length;
  const current = Math.min(active, Math.max(0, count - 1));
  // biome-ignore lint/correctness/useExhaustiveDependencies: another option became active
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [current]);

  const run = (command: Command | undefined) => {
    if (!command) return;
    remember(command.id);
    onClose();
    command.run();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setActive(
        Math.abs(step) === 1
          ? (current + step + count) % Math.max(1, count)
          : Math.max(0, Math.min(count - 1, current + step)),
      );
    } else if (event.key === 'Enter') {
      event.preventDefault();
      run(commands[current]);
    }
  };

  return (
    <Dialog title={t('palette.open')} bare onClose={onClose}>
      <div className={css.field}>
        <IconSearch size={18} aria-hidden />
        <input
          type="text"
          role="combobox"
          aria-expanded="true"
          aria-controls={listId}
          aria-activedescendant={count > 0 ? `${listId}-${current}` : undefined}
          aria-label={t('palette.open')}
          placeholder={t('palette.placeholder')}
          spellCheck={false}
          autoFocus
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setActive(0);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <div id={listId} ref={list} role="listbox" aria-label={t('palette.results')} className={css.list}>
        {commands.map((command, index) => {
          const Icon = ICONS[command.kind];
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the field
            <div
              key={command.id}
              id={`${listId}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === current}
              className={css.option}
              onClick={() => run(command)}
              onPointerMove={() => setActive(index)}
            >
              <Icon size={16} stroke={1.7} aria-hidden />
              <span className={css.title}>{command.title}</span>
              <span className={css.subtitle}>{command.subtitle}</span>
              <span className={css.kind}>{command.keys ?? t(`palette.kind.${command.kind}`)}</span>
            </div>
          );
        })}
      </div>
      {count === 0 && <p className={css.nothing}>{t('search.nothing')}</p>}
      {found.data && found.data.warnings.length > 0 && (
        <p className={css.nothing} role="status">
          {t('search.partial', { why: found.data.warnings.join('; ') })}
        </p>
      )}
    </Dialog>
  );
}

function open(result: SearchResult, context: CommandContext): void {
  if (result.kind === 'metric') context.go('/explore', exploreSearch([emptyPane('a', result.title)]));
  else if (result.kind === 'host') context.go(`/hosts/${encodeURIComponent(result.title)}`);
  else {
    const url = new URL(result.href, location.origin);
    if (url.origin !== location.origin) return;
    const path = url.pathname.startsWith(boot.basePath) ? url.pathname.slice(boot.basePath.length) : url.pathname;
    context.go(path || '/', Object.fromEntries(url.searchParams));
  }
}
