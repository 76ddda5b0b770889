// SPDX-License-Identifier: Apache-2.0
import { IconArrowsVertical, IconChartLine, IconLink, IconZoomIn, IconZoomOut } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Labels } from '@/shared/api/prom';
import { CopyButton } from '@/shared/ui/CopyButton';
import { IconButton } from '@/shared/ui/IconButton';
import { Message } from '@/shared/ui/Message';
import css from './Logs.module.css';
import { detectFields, type LogLine, prettyJson } from './lines';
import { withField, withStreamLabel } from './logql';

export interface LineActions {
  /** Changes the query and runs it. */
  onQuery: (change: (expr: string) => string) => void;
  onContext: (line: LogLine) => void;
  /** Opens the metrics of the same labels; false when there are none. */
  onMetrics: (line: LogLine) => Promise<boolean>;
  linkTo: (line: LogLine) => Promise<string>;
}

interface Props {
  line: LogLine;
  actions: LineActions;
}

/** All that is known about one line, each part with buttons that narrow the query. */
export function LogDetail({ line, actions }: Props) {
  const { t } = useTranslation('explore');
  const [noMetrics, setNoMetrics] = useState(false);
  const detected = useMemo(() => detectFields(line.text), [line.text]);
  const shown = new Set([...Object.keys(line.parsed), ...Object.keys(line.stream)]);
  const fields = Object.fromEntries(Object.entries(detected?.fields ?? {}).filter(([name]) => !shown.has(name)));
  const filter =
    (parser: 'json' | 'logfmt' | null): Filter =>
    (name, value, keep) =>
      actions.onQuery((expr) => withField(expr, name, value, keep, parser));
  return (
    <div className={css.detail}>
      <div className={css.detailBar}>
        <CopyButton value={line.text} label={t('logs.copy')} text={t('logs.copy')} />
        {prettyJson(line.text) !== null && (
          <CopyButton value={() => prettyJson(line.text) ?? ''} label={t('logs.copyJson')} text={t('logs.copyJson')} />
        )}
        <CopyButton
          value={() => actions.linkTo(line)}
          label={t('logs.link')}
          text={t('logs.link')}
          icon={<IconLink aria-hidden />}
        />
        <IconButton
          label={t('logs.context')}
          text={t('logs.context')}
          icon={<IconArrowsVertical aria-hidden />}
          onClick={() => actions.onContext(line)}
        />
        <IconButton
          label={t('logs.toMetrics')}
          text={t('logs.toMetrics')}
          icon={<IconChartLine aria-hidden />}
          onClick={() => void actions.onMetrics(line).then((found) => setNoMetrics(!found))}
        />
      </div>
      {noMetrics && <Message level="info">{t('logs.noMetrics')}</Message>}
      <Group
        name={t('logs.labels')}
        labels={line.stream}
        onFilter={(name, value, keep) => actions.onQuery((expr) => withStreamLabel(expr, name, value, keep))}
      />
      <Group name={t('logs.metadata')} labels={line.metadata} onFilter={filter(null)} />
      <Group name={t('logs.parsed')} labels={line.parsed} onFilter={filter(null)} />
      <Group name={t('logs.fields')} labels={fields} onFilter={filter(detected?.parser ?? null)} />
    </div>
  );
}

type Filter = (name: string, value: string, keep: boolean) => void;

function Group({ name, labels, onFilter }: { name: string; labels: Labels; onFilter: Filter }) {
  const { t } = useTranslation('explore');
  const keys = Object.keys(labels).sort();
  if (keys.length === 0) return null;
  return (
    <section className={css.group} aria-label={name}>
      <h3>{name}</h3>
      <ul>
        {keys.map((key) => {
          const value = labels[key] ?? '';
          return (
            <li key={key} className={css.field}>
              <span className={css.fieldButtons}>
                <IconButton
                  label={t('logs.keep', { name: key, value })}
                  icon={<IconZoomIn aria-hidden />}
                  onClick={() => onFilter(key, value, true)}
                />
                <IconButton
                  label={t('logs.drop', { name: key, value })}
                  icon={<IconZoomOut aria-hidden />}
                  onClick={() => onFilter(key, value, false)}
                />
              </span>
              <span className={css.fieldName}>{key}</span>
              <span className={css.fieldValue}>{value}</span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
