// SPDX-License-Identifier: Apache-2.0
import '@mantine/core/styles/ScrollArea.css';
import '@mantine/core/styles/Popover.css';
import '@mantine/core/styles/Combobox.css';
import '@mantine/core/styles/Input.css';
import { Select } from '@mantine/core';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { formatOffset } from './format';
import { allZones, browserZone, offsetAt, type Zone } from './zone';

interface Props {
  value: Zone;
  onChange: (zone: Zone) => void;
  label?: string;
}

export function ZoneSelect({ value, onChange, label }: Props) {
  const { t } = useTranslation();
  const data = useMemo(() => {
    const now = Date.now();
    const zones = allZones().filter((zone) => zone !== 'UTC');
    return [
      { value: 'browser', label: t('time.zoneBrowser', { zone: browserZone() }) },
      { value: 'utc', label: 'UTC' },
      ...zones.map((zone) => ({ value: zone, label: `${zone} (${formatOffset(offsetAt(zone ? now : 0, zone))})` })),
    ];
  }, [t]);
  return (
    <Select
      label={label ?? t('time.zone')}
      data={data}
      value={value.toLowerCase() === 'utc' ? 'utc' : value}
      searchable
      limit={60}
      maxDropdownHeight={260}
      comboboxProps={{ withinPortal: false, position: 'bottom-start' }}
      nothingFoundMessage={t('search.nothing')}
      onChange={(next) => next && onChange(next)}
    />
  );
}
