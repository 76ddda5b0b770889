// SPDX-License-Identifier: Apache-2.0
// The six states every region that shows data can be in, drawn in one way everywhere.
import { Button } from '@mantine/core';
import { IconDatabaseOff, IconLock } from '@tabler/icons-react';
import { type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../api/request';
import { formatDuration } from '../time/format';
import { CopyButton } from './CopyButton';
import css from './DataRegion.module.css';
import { Message } from './Message';
import { Severity } from './Severity';

export interface Fix {
  label: string;
  run: () => void;
}

export type RegionState =
  | { kind: 'ready' }
  | { kind: 'loading' }
  | { kind: 'partial'; failures: string[] }
  | { kind: 'empty'; why: string; fixes?: Fix[] }
  | { kind: 'error'; error: unknown; retry?: () => void }
  | { kind: 'stale'; ageSeconds: number }
  | { kind: 'forbidden'; who?: string };

interface Props {
  state: RegionState;
  /** Reserved while nothing is drawn, so that nothing jumps. */
  minHeight?: number | undefined;
  children?: ReactNode;
}

/** 403 and everything else that a failed request can mean, as a region state. */
export function stateOfError(error: unknown, retry?: () => void): RegionState {
  if (error instanceof ApiError && error.status === 403) return { kind: 'forbidden' };
  return retry ? { kind: 'error', error, retry } : { kind: 'error', error };
}

export function DataRegion({ state, minHeight, children }: Props) {
  switch (state.kind) {
    case 'ready':
      return <>{children}</>;
    case 'loading':
      return <Loading minHeight={minHeight} />;
    case 'partial':
      return (
        <>
          <Partial failures={state.failures} />
          {children}
        </>
      );
    case 'stale':
      return (
        <>
          <Stale ageSeconds={state.ageSeconds} />
          {children}
        </>
      );
    case 'empty':
      return <Empty state={state} minHeight={minHeight} />;
    case 'forbidden':
      return <Forbidden who={state.who} minHeight={minHeight} />;
    default:
      return <Failed state={state} minHeight={minHeight} />;
  }
}

function Loading({ minHeight = 120 }: { minHeight?: number | undefined }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className={css.hold} style={{ minHeight }} aria-busy="true">
      {shown && (
        <>
          <div className={css.skeleton} aria-hidden />
          <span className="sr-only" role="status">
            {t('state.loading')}
          </span>
        </>
      )}
    </div>
  );
}

function Partial({ failures }: { failures: string[] }) {
  const { t } = useTranslation();
  return (
    <details className={css.partial}>
      <summary>
        <Severity level="warning" word={t('state.partial', { count: failures.length })} />
      </summary>
      <ul>
        {failures.map((failure, index) => (
          <li key={index}>{failure}</li>
        ))}
      </ul>
    </details>
  );
}

function Stale({ ageSeconds }: { ageSeconds: number }) {
  const { t } = useTranslation();
  return (
    <p className={css.stale}>
      <Severity level="warning" word={t('state.stale', { age: formatDuration(ageSeconds) })} />
    </p>
  );
}

function Empty({
  state,
  minHeight,
}: {
  state: Extract<RegionState, { kind: 'empty' }>;
  minHeight?: number | undefined;
}) {
  return (
    <div className={css.centre} style={{ minHeight }}>
      <IconDatabaseOff size={22} stroke={1.6} aria-hidden />
      <p>{state.why}</p>
      {state.fixes && state.fixes.length > 0 && (
        <div className={css.fixes}>
          {state.fixes.map((fix) => (
            <Button key={fix.label} variant="default" onClick={fix.run}>
              {fix.label}
            </Button>
          ))}
        </div>
      )}
    </div>
  );
}

function Forbidden({ who, minHeight }: { who?: string | undefined; minHeight?: number | undefined }) {
  const { t } = useTranslation();
  return (
    <div className={css.centre} style={{ minHeight }}>
      <IconLock size={22} stroke={1.6} aria-hidden />
      <p>{t('state.forbidden')}</p>
      <p className={css.faint}>{who ?? t('state.forbidden.who')}</p>
    </div>
  );
}

function Failed({
  state,
  minHeight,
}: {
  state: Extract<RegionState, { kind: 'error' }>;
  minHeight?: number | undefined;
}) {
  const { t, i18n } = useTranslation();
  const { error, retry } = state;
  const api = error instanceof ApiError ? error : null;
  const message = error instanceof Error ? error.message : String(error);
  const code = api?.code ?? 'client';
  const known = `error.${code}` as 'error.unreachable';
  const sentence = i18n.exists(known) ? t(known, api?.params ?? {}) : t('error.other');
  const details = [`code: ${code}`, api && `HTTP ${api.status}`, api?.requestId && `request: ${api.requestId}`, message]
    .filter(Boolean)
    .join('\n');
  return (
    <div className={css.failed} style={{ minHeight }}>
      <Message level="critical" word={sentence}>
        {message}
      </Message>
      <div className={css.fixes}>
        {retry && (
          <Button variant="default" onClick={retry}>
            {t('action.retry')}
          </Button>
        )}
        <CopyButton value={details} label={t('error.copy')} text={t('error.copy')} />
      </div>
      {api?.body && api.body !== message && (
        <details className={css.raw}>
          <summary>{t('error.raw')}</summary>
          <pre>{api.body.slice(0, 20_000)}</pre>
        </details>
      )}
    </div>
  );
}
