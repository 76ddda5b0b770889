// SPDX-License-Identifier: Apache-2.0
import { IconCode, IconEye, IconEyeOff, IconTrash } from '@tabler/icons-react';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { lazyChunk } from '@/shared/api/chunks';
import { formatQuery } from '@/shared/api/prom';
import { ApiError } from '@/shared/api/request';
import type { QueryOutcome } from '@/shared/charts/usePanelSource';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import type { PaneQuery, PaneSource } from '@/shared/url/panes';
import css from './Explore.module.css';
import { caretLines, splitPosition } from './errors';

const PromEditor = lazyChunk(() => import('./editor/PromEditor'));
const LogEditor = lazyChunk(() => import('./editor/LogEditor'));

interface Props {
  query: PaneQuery;
  source?: PaneSource;
  draft: string;
  outcome: Pick<QueryOutcome, 'error' | 'warnings' | 'infos'> | undefined;
  autoFocus: boolean;
  onDraft: (expr: string) => void;
  onRun: () => void;
  onChange: (change: Partial<PaneQuery>) => void;
  onRemove: (() => void) | undefined;
  /** Writes a query in the usual form. */
  reformat?: (query: string) => Promise<string>;
}

export function QueryRow(props: Props) {
  const { query, source = 'metrics', draft, outcome, autoFocus, onDraft, onRun, onChange, onRemove } = props;
  const { reformat = formatQuery } = props;
  const { t } = useTranslation('explore');
  const error = outcome?.error;
  const message = error?.message ?? '';
  const problem = useMemo(() => {
    if (message === '') return null;
    const { position, text } = splitPosition(message);
    return { position, message: text };
  }, [message]);
  const logs = source === 'logs';
  const Editor = logs ? LogEditor : PromEditor;
  const format = () => void reformat(draft).then(onDraft, () => undefined);
  return (
    <div className={css.row}>
      <div className={css.ref} aria-hidden data-off={query.hide ? '' : undefined}>
        {query.refId}
      </div>
      <div className={css.editor}>
        <Editor
          hold={<div className={css.editorHold}>{draft}</div>}
          value={draft}
          label={t('query', { id: query.refId })}
          hint={logs ? t('logs.placeholder') : t('placeholder')}
          autoFocus={autoFocus}
          problem={draft === query.expr ? problem : null}
          onChange={onDraft}
          onRun={onRun}
          onFormat={format}
        />
        {problem && !query.hide && <Problem expr={query.expr} problem={problem} error={error} />}
        {outcome?.warnings.map((warning) => (
          <Message key={warning} level="warning">
            {warning}
          </Message>
        ))}
        {outcome?.infos.map((info) => (
          <Message key={info} level="info">
            {info}
          </Message>
        ))}
      </div>
      <div className={css.rowActions}>
        <IconButton label={t('format')} icon={<IconCode aria-hidden />} onClick={format} />
        {(!logs || onRemove) && (
          <IconButton
            label={query.hide ? t('show', { id: query.refId }) : t('hide', { id: query.refId })}
            icon={query.hide ? <IconEyeOff aria-hidden /> : <IconEye aria-hidden />}
            onClick={() => onChange({ hide: !query.hide })}
          />
        )}
        {onRemove && (
          <IconButton label={t('remove', { id: query.refId })} icon={<IconTrash aria-hidden />} onClick={onRemove} />
        )}
      </div>
    </div>
  );
}

type Found = { position: { line: number; column: number } | null; message: string };

/** The server's own words, at their place in the query. */
function Problem({ expr, problem, error }: { expr: string; problem: Found; error: Error | undefined }) {
  const { t } = useTranslation('explore');
  const { t: tc, i18n } = useTranslation('common');
  const { position, message } = problem;
  const code = error instanceof ApiError ? error.code : 'bad_data';
  const key = `error.${code}` as 'error.bad_data';
  return (
    <div data-testid="query-error">
      <Message level="critical" word={i18n.exists(key) ? tc(key) : tc('error.other')}>
        {position && <span className={css.where}>{t('where', { line: position.line, column: position.column })} </span>}
        {message}
        {position && <pre className={css.caret}>{caretLines(expr, position).join('\n')}</pre>}
      </Message>
    </div>
  );
}
