// SPDX-License-Identifier: Apache-2.0
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import type { HostSummary } from '../api/home';
import { formatDuration } from '../time/format';
import { DataTable } from '../ui/DataTable';
import { Meter } from '../ui/Meter';
import { Severity } from '../ui/Severity';

/** Machines with their load; a machine that has gone silent says so. */
export function HostTable({ hosts, caption }: { hosts: readonly HostSummary[]; caption: string }) {
  const { t } = useTranslation();
  const now = Date.now();
  return (
    <DataTable
      caption={caption}
      rows={hosts}
      rowKey={(h) => `${h.job}/${h.instance}`}
      columns={[
        {
          key: 'host',
          title: t('host.host'),
          sort: (h) => h.hostname || h.instance,
          cell: (h) => (
            <Link to="/hosts/$instance" params={{ instance: h.instance }}>
              {h.hostname || h.instance}
            </Link>
          ),
        },
        { key: 'os', title: t('host.os'), sort: (h) => h.os, cell: (h) => h.os || '–' },
        {
          key: 'cpu',
          title: t('host.cpu'),
          sort: (h) => h.cpu ?? -1,
          cell: (h) => <Meter value={h.cpu} label={t('host.cpu')} />,
        },
        {
          key: 'memory',
          title: t('host.memory'),
          sort: (h) => h.memory ?? -1,
          cell: (h) => <Meter value={h.memory} label={t('host.memory')} />,
        },
        {
          key: 'disk',
          title: t('host.disk'),
          sort: (h) => h.disk ?? -1,
          cell: (h) => <Meter value={h.disk} label={t('host.disk')} />,
        },
        {
          key: 'seen',
          title: t('host.seen'),
          sort: (h) => h.lastSeenMs ?? 0,
          cell: (h) => {
            if (h.lastSeenMs === null) return '–';
            const age = Math.max(0, (now - h.lastSeenMs) / 1000);
            const ago = t('host.ago', { age: formatDuration(age) });
            return age > 60 ? <Severity level="warning" word={ago} /> : ago;
          },
        },
      ]}
    />
  );
}
