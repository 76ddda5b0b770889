// SPDX-License-Identifier: Apache-2.0
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { type ReactNode, useMemo, useState } from 'react';
import css from './DataTable.module.css';

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ReactNode;
  sort?: (row: T) => string | number;
  numeric?: boolean;
  /** Column of buttons: no visible title. */
  actions?: boolean;
}

interface Props<T> {
  caption: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string | number;
}

/** A sortable table on wide screens; on a phone each row becomes a card with its column names. */
export function DataTable<T>({ caption, rows, columns, rowKey }: Props<T>) {
  const [sort, setSort] = useState<{ key: string; down: boolean } | null>(null);
  const sorted = useMemo(() => {
    const by = columns.find((c) => c.key === sort?.key)?.sort;
    if (!by || !sort) return rows;
    return [...rows].sort((a, b) => {
      const [x, y] = [by(a), by(b)];
      const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
      return sort.down ? -order : order;
    });
  }, [rows, columns, sort]);
  const turn = (key: string) =>
    setSort((s) => (s?.key === key ? (s.down ? null : { key, down: true }) : { key, down: false }));
  return (
    <div className={css.scroll}>
      <table className={css.table}>
        <caption className="sr-only">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => {
              const active = sort?.key === column.key;
              return (
                <th
                  key={column.key}
                  scope="col"
                  className={column.numeric ? css.numeric : undefined}
                  aria-sort={active ? (sort.down ? 'descending' : 'ascending') : undefined}
                >
                  {column.actions ? (
                    <span className="sr-only">{column.title}</span>
                  ) : column.sort ? (
                    <button type="button" className={css.sort} onClick={() => turn(column.key)}>
                      {column.title}
                      {active &&
                        (sort.down ? <IconArrowDown size={13} aria-hidden /> : <IconArrowUp size={13} aria-hidden />)}
                    </button>
                  ) : (
                    column.title
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => (
                <td
                  key={column.key}
                  data-label={column.actions ? undefined : column.title}
                  className={column.numeric ? css.numeric : column.actions ? css.actions : undefined}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
