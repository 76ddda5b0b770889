// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { seriesName } from '@/shared/api/prom';
import { requestText } from '@/shared/api/request';
import type { QueryOutcome } from '@/shared/charts/usePanelSource';
import type { RangeAnswer } from '@/shared/frames/rangeQuery';
import { formatStamp } from '@/shared/time/format';
import type { Zone } from '@/shared/time/zone';
import { CopyButton } from '@/shared/ui/CopyButton';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { Dialog } from '@/shared/ui/Dialog';
import { saveFile } from '@/shared/ui/saveFile';
import { formatValue } from '@/shared/units/format';
import type { PaneQuery } from '@/shared/url/panes';
import { toCsv } from './csv';
import css from './Inspector.module.css';
import { serverStats } from './instant';

interface Props {
  queries: readonly PaneQuery[];
  outcomes: Record<string, QueryOutcome>;
  zone: Zone;
  onClose: () => void;
}

/** Each query of a pane: what was sent, how long it took where, what came back. */
export default function Inspector({ queries, outcomes, zone, onClose }: Props) {
  const { t } = useTranslation('explore');
  const known = queries.filter((q) => outcomes[q.refId]?.answer);
  return (
    <Dialog title={t('inspectTitle')} size="lg" onClose={onClose}>
      <div className={css.body}>
        {known.length === 0 && <p className={css.faint}>{t('inspect.none')}</p>}
        {known.map((q) => (
          <Inspected key={q.refId} query={q} answer={outcomes[q.refId]?.answer as RangeAnswer} zone={zone} />
        ))}
      </div>
    </Dialog>
  );
}

function Inspected({ query, answer, zone }: { query: PaneQuery; answer: RangeAnswer; zone: Zone }) {
  const { t } = useTranslation('explore');
  const stats = serverStats(answer.stats);
  const seconds = (value: number | null) => (value === null ? '–' : formatValue(value, 'seconds'));
  const count = (value: number | null) => (value === null ? '–' : formatValue(value, 'count'));
  const facts: [string, string][] = [
    [t('inspect.from'), formatStamp(answer.startMs, zone)],
    [t('inspect.to'), formatStamp(answer.endMs, zone)],
    [t('inspect.step'), formatValue(answer.stepMs / 1000, 'seconds')],
    [t('inspect.total'), formatValue(answer.elapsedMs / 1000, 'seconds')],
    [t('inspect.eval'), seconds(stats.evalSeconds)],
    [t('inspect.queue'), seconds(stats.queueSeconds)],
    [t('inspect.size'), formatValue(answer.bytes, 'bytes')],
    [t('inspect.series'), count(answer.columns.length + answer.histogramSeries)],
    [t('inspect.samples'), count(answer.samples)],
    [t('inspect.touched'), count(stats.samples)],
  ];
  const download = () => saveFile(`query-${query.refId}.csv`, toCsv(answer, seriesName), 'text/csv');
  return (
    <section className={css.query} aria-label={t('query', { id: query.refId })}>
      <h3>{t('query', { id: query.refId })}</h3>
      <pre className={css.expr}>{query.expr}</pre>
      <dl className={css.facts}>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Button variant="default" leftSection={<IconDownload size={15} aria-hidden />} onClick={download}>
        {t('inspect.csv')}
      </Button>
      <Raw query={query} answer={answer} />
    </section>
  );
}

const SHOWN = 100_000;

/** The page keeps columns, not the text they came from: it is asked for again when someone wants to read it. */
function Raw({ query, answer }: { query: PaneQuery; answer: RangeAnswer }) {
  const { t } = useTranslation('explore');
  const [wanted, setWanted] = useState(false);
  const form = new URLSearchParams({
    query: query.expr,
    start: String(answer.startMs / 1000),
    end: String(answer.endMs / 1000),
    step: String(answer.stepMs / 1000),
  });
  const raw = useQuery({
    queryKey: ['raw', form.toString()],
    queryFn: ({ signal }) => requestText('/api/v1/query_range', { method: 'POST', form, signal }),
    enabled: wanted,
    gcTime: 0,
  });
  if (!wanted)
    return (
      <Button variant="subtle" onClick={() => setWanted(true)}>
        {t('inspect.loadRaw')}
      </Button>
    );
  const text = raw.data ?? '';
  return (
    <DataRegion
      minHeight={120}
      state={raw.data !== undefined ? { kind: 'ready' } : raw.error ? stateOfError(raw.error) : { kind: 'loading' }}
    >
      <div className={css.rawHead}>
        <span>{t('inspect.raw')}</span>
        <CopyButton label={t('inspect.copyRaw')} value={() => text} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <pre className={css.raw} tabIndex={0}>
        {text.slice(0, SHOWN)}
      </pre>
      {text.length > SHOWN && (
        <p className={css.faint}>
          {t('inspect.cut', { shown: formatValue(SHOWN, 'bytes'), total: formatValue(text.length, 'bytes') })}
        </p>
      )}
    </DataRegion>
  );
}
