// SPDX-License-Identifier: Apache-2.0
import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import type { UseQueryResult } from '@tanstack/react-query';
import { DataRegion, type RegionState, stateOfError } from '@/shared/ui/DataRegion';
import { type Column, DataTable } from '@/shared/ui/DataTable';
import { Panel } from '@/shared/ui/Panel';

interface Props<T> {
  title: string;
  query: UseQueryResult<T[]>;
  columns: readonly Column<T>[];
  rowKey: (row: T) => string | number;
  empty: string;
  add?: { label: string; run: () => void };
}

/** A list of the admin area with its states and its one button. */
export function ListPanel<T>({ title, query, columns, rowKey, empty, add }: Props<T>) {
  let state: RegionState = { kind: 'ready' };
  if (!query.data) state = query.error ? stateOfError(query.error, () => void query.refetch()) : { kind: 'loading' };
  else if (query.data.length === 0) state = { kind: 'empty', why: empty };
  return (
    <Panel
      title={title}
      flush
      actions={
        add &&
        state.kind !== 'forbidden' && (
          <Button leftSection={<IconPlus size={15} aria-hidden />} onClick={add.run}>
            {add.label}
          </Button>
        )
      }
    >
      <DataRegion state={state} minHeight={160}>
        <DataTable caption={title} rows={query.data ?? []} columns={columns} rowKey={rowKey} />
      </DataRegion>
    </Panel>
  );
}
