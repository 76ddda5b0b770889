// SPDX-License-Identifier: Apache-2.0
// Search parameters of a page with charts: time, and per panel the legend's toggles and "as table".
import { type TimeSearch, timeSearch } from './search';

export interface PageState extends TimeSearch {
  /** `<panel>.<series>` of series switched off. */
  hide: string[];
  /** Panels shown as a table. */
  table: string[];
  /** `<panel>.<comparison>` of panels with a comparison of their own. */
  versus: string[];
}

const list = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter((v) => v !== undefined && v !== null && v !== '').map(String);

export function readPage(search: Record<string, unknown>): PageState {
  return { ...timeSearch(search), hide: list(search.hide), table: list(search.table), versus: list(search.versus) };
}

export function writePage({ hide, table, versus, ...time }: PageState): Record<string, string | string[] | undefined> {
  const some = (items: string[]) => (items.length > 0 ? items : undefined);
  return { ...time, hide: some(hide), table: some(table), versus: some(versus) };
}
