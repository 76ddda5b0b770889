// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { IconList } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { labelValues } from '@/shared/api/prom';
import css from './MetricsStart.module.css';

/** Questions that most servers can answer, by the metric that they need. */
const STARTERS: Record<string, string> = {
  node_cpu_seconds_total: 'sum by (mode) (rate(node_cpu_seconds_total[1m]))',
  node_memory_MemAvailable_bytes: 'node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes',
  node_network_receive_bytes_total: 'rate(node_network_receive_bytes_total[1m])',
  node_filesystem_avail_bytes: 'node_filesystem_avail_bytes',
  up: 'up',
  http_requests_total: 'sum by (job) (rate(http_requests_total[5m]))',
  tocayo_metrics_samples_appended_total: 'sum(rate(tocayo_metrics_samples_appended_total[1m]))',
};

/** Before the first query: what is there already, one click away. */
export function MetricsStart({ onPick, onBrowse }: { onPick: (expr: string) => void; onBrowse: () => void }) {
  const { t } = useTranslation('explore');
  const match = `{__name__=~"${Object.keys(STARTERS).join('|')}"}`;
  const known = useQuery({ queryKey: ['starters'], queryFn: () => labelValues('__name__', match, 100) });
  const there = Object.keys(STARTERS).filter((name) => known.data?.includes(name));
  return (
    <div className={css.begin}>
      <p>{t('start')}</p>
      <Button variant="light" leftSection={<IconList size={16} aria-hidden />} onClick={onBrowse}>
        {t('start.browse')}
      </Button>
      <div className={css.chips}>
        {there.map((name) => (
          <button key={name} type="button" onClick={() => onPick(STARTERS[name] as string)}>
            <code>{STARTERS[name]}</code>
          </button>
        ))}
      </div>
    </div>
  );
}
