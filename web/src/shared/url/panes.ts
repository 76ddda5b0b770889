// SPDX-License-Identifier: Apache-2.0
// Explore's state in the URL, in Grafana's words: `schemaVersion=1&panes={…}`, and the older links that mean the same.
import type { RawRange } from '../time/range';
import { text } from './search';

export interface PaneQuery {
  refId: string;
  expr: string;
  hide: boolean;
  instant: boolean;
  range: boolean;
  legendFormat: string;
}

export type PaneView = 'graph' | 'table' | 'explain';

export type PaneSource = 'metrics' | 'logs';
export type LogTab = 'lines' | 'patterns' | 'fields';

/** How a pane of logs shows them. */
export interface LogView {
  tab: LogTab;
  oldestFirst: boolean;
  wrap: boolean;
  pretty: boolean;
  /** Colours that programs wrote for terminals are shown; else they are left out. */
  ansi: boolean;
  /** The line that a link leads to; empty without one. */
  line: string;
}

export const LOG_VIEW: LogView = {
  tab: 'lines',
  oldestFirst: false,
  wrap: true,
  pretty: false,
  ansi: true,
  line: '',
};

export interface Pane {
  id: string;
  source: PaneSource;
  queries: PaneQuery[];
  range: RawRange;
  view: PaneView;
  /** Short ids of series switched off in the legend. */
  hidden: string[];
  stacked: boolean;
  /** The pane does not follow the page's range. */
  ownRange: boolean;
  /** What older period is drawn over this one; see time/compare.ts. */
  compare: string;
  /** Width of the first pane of a row, percent. */
  share: number;
  logs: LogView;
}

export const MOST_PANES = 4;
export const EVEN_SHARE = 50;
const SMALLEST_SHARE = 20;

export function clampShare(percent: number): number {
  return Math.round(Math.min(100 - SMALLEST_SHARE, Math.max(SMALLEST_SHARE, percent)));
}

export const DATASOURCE = 'tocayo-metrics';
export const LOG_DATASOURCE = 'logs';
export const PANE_RANGE: RawRange = { from: 'now-1h', to: 'now' };
const VIEWS: readonly PaneView[] = ['graph', 'table', 'explain'];

export function refIdAt(index: number): string {
  const letter = String.fromCharCode(65 + (index % 26));
  return index < 26 ? letter : `${refIdAt(Math.floor(index / 26) - 1)}${letter}`;
}

export function emptyQuery(index: number, expr = ''): PaneQuery {
  return { refId: refIdAt(index), expr, hide: false, instant: true, range: true, legendFormat: '__auto' };
}

export function emptyPane(id = 'a', expr = ''): Pane {
  return {
    id,
    source: 'metrics',
    queries: [emptyQuery(0, expr)],
    range: PANE_RANGE,
    view: 'graph',
    hidden: [],
    stacked: false,
    ownRange: false,
    compare: '',
    share: EVEN_SHARE,
    logs: LOG_VIEW,
  };
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function readRange(value: unknown): RawRange {
  if (!isObject(value)) return PANE_RANGE;
  const from = text(value.from);
  const to = text(value.to);
  return from && to ? { from, to } : PANE_RANGE;
}

function readQuery(value: unknown, index: number): PaneQuery | null {
  if (!isObject(value)) return null;
  return {
    refId: text(value.refId) ?? refIdAt(index),
    expr: typeof value.expr === 'string' ? value.expr : '',
    hide: value.hide === true,
    instant: value.instant !== false,
    range: value.range !== false,
    legendFormat: typeof value.legendFormat === 'string' && value.legendFormat !== '' ? value.legendFormat : '__auto',
  };
}

/** Our own word, or Grafana's type of the data source that the queries name. */
function readSource(pane: Json, queries: readonly unknown[]): PaneSource {
  if (pane.datasource === LOG_DATASOURCE) return 'logs';
  const named = [pane.datasource, ...queries.map((q) => (isObject(q) ? q.datasource : undefined))];
  return named.some((d) => isObject(d) && d.type === 'loki') ? 'logs' : 'metrics';
}

function readLogView(value: unknown): LogView {
  if (!isObject(value)) return LOG_VIEW;
  const flag = (key: 'oldestFirst' | 'wrap' | 'pretty' | 'ansi') =>
    typeof value[key] === 'boolean' ? (value[key] as boolean) : LOG_VIEW[key];
  return {
    tab: value.tab === 'patterns' || value.tab === 'fields' ? value.tab : 'lines',
    oldestFirst: flag('oldestFirst'),
    wrap: flag('wrap'),
    pretty: flag('pretty'),
    ansi: flag('ansi'),
    line: typeof value.line === 'string' ? value.line : '',
  };
}

/** What differs from the usual. */
function writeLogView(logs: LogView): Json {
  return Object.fromEntries(Object.entries(logs).filter(([key, value]) => value !== LOG_VIEW[key as keyof LogView]));
}

function readPane(id: string, value: unknown): Pane | null {
  if (!isObject(value)) return null;
  const list = Array.isArray(value.queries) ? value.queries : [];
  const queries = list.map(readQuery).filter((q): q is PaneQuery => q !== null);
  const state = isObject(value.panelsState) && isObject(value.panelsState.tocayo) ? value.panelsState.tocayo : {};
  const view = VIEWS.find((v) => v === state.view) ?? 'graph';
  return {
    id,
    source: readSource(value, list),
    queries: queries.length > 0 ? queries : [emptyQuery(0)],
    range: readRange(value.range),
    view,
    hidden: Array.isArray(state.hidden) ? state.hidden.filter((h): h is string => typeof h === 'string') : [],
    stacked: state.stacked === true,
    ownRange: state.ownRange === true,
    compare: typeof state.compare === 'string' ? state.compare : '',
    share: typeof state.share === 'number' ? clampShare(state.share) : EVEN_SHARE,
    logs: readLogView(state.logs),
  };
}

export interface ParsedPanes {
  panes: Pane[];
  /** True when the URL held something that is no pane state. */
  broken: boolean;
}

/** `left=["now-1h","now","ds",{"expr":"up"}]` or `left={datasource,queries,range}` of Grafana before 10. */
function readLegacy(value: string): Pane | null {
  const parsed: unknown = JSON.parse(value);
  if (!Array.isArray(parsed)) return readPane('a', parsed);
  const [from, to, , ...queries] = parsed as unknown[];
  return readPane('a', { range: { from, to }, queries: queries.filter((q) => isObject(q) && 'expr' in q) });
}

export function parsePanes(search: Record<string, unknown>): ParsedPanes {
  const raw = text(search.panes);
  const left = text(search.left);
  if (raw === undefined && left === undefined) return { panes: [emptyPane()], broken: false };
  try {
    if (raw === undefined) {
      const pane = readLegacy(left as string);
      return pane ? { panes: [pane], broken: false } : { panes: [emptyPane()], broken: true };
    }
    const value: unknown = JSON.parse(raw);
    if (!isObject(value)) return { panes: [emptyPane()], broken: true };
    const panes = Object.entries(value)
      .map(([id, pane]) => readPane(id, pane))
      .filter((pane): pane is Pane => pane !== null)
      .slice(0, MOST_PANES);
    return panes.length > 0 ? { panes, broken: false } : { panes: [emptyPane()], broken: true };
  } catch {
    return { panes: [emptyPane()], broken: true };
  }
}

export function serialisePanes(panes: readonly Pane[]): string {
  const out: Json = {};
  for (const pane of panes) {
    const state: Json = {};
    if (pane.view !== 'graph') state.view = pane.view;
    if (pane.hidden.length > 0) state.hidden = pane.hidden;
    if (pane.stacked) state.stacked = true;
    if (pane.ownRange) state.ownRange = true;
    if (pane.compare !== '') state.compare = pane.compare;
    if (pane.share !== EVEN_SHARE) state.share = pane.share;
    const logs = writeLogView(pane.logs);
    if (Object.keys(logs).length > 0) state.logs = logs;
    const source =
      pane.source === 'logs' ? { type: 'loki', uid: LOG_DATASOURCE } : { type: 'prometheus', uid: DATASOURCE };
    out[pane.id] = {
      datasource: source.uid,
      queries: pane.queries.map((q) => ({
        refId: q.refId,
        expr: q.expr,
        datasource: source,
        editorMode: 'code',
        range: q.range,
        instant: q.instant,
        legendFormat: q.legendFormat,
        ...(q.hide ? { hide: true } : {}),
      })),
      range: { from: pane.range.from, to: pane.range.to },
      ...(Object.keys(state).length > 0 ? { panelsState: { tocayo: state } } : {}),
    };
  }
  return JSON.stringify(out);
}

export function exploreSearch(panes: readonly Pane[]): { schemaVersion: string; panes: string } {
  return { schemaVersion: '1', panes: serialisePanes(panes) };
}

const GRAPH_UNITS: Record<string, string> = { s: 's', m: 'm', h: 'h', d: 'd', w: 'w', y: 'y' };

/** Prometheus' own links, old `/graph?g0.expr=…` and new `/query?g0.expr=…`, as one pane. */
export function panesFromPrometheus(search: Record<string, unknown>): Pane[] {
  const queries: PaneQuery[] = [];
  let range: RawRange = PANE_RANGE;
  let view: PaneView = 'graph';
  for (let n = 0; n < 26; n++) {
    const expr = text(search[`g${n}.expr`]) ?? (n === 0 ? (text(search.expr) ?? text(search.query)) : undefined);
    if (expr === undefined) continue;
    queries.push(emptyQuery(queries.length, expr));
    if (queries.length > 1) continue;
    const tab = text(search[`g${n}.tab`]);
    view = tab === '1' || tab === 'table' ? 'table' : tab === 'explain' ? 'explain' : 'graph';
    const match = /^(\d+)(s|m|h|d|w|y)$/.exec(text(search[`g${n}.range_input`]) ?? '1h');
    const span = match ? `${match[1]}${GRAPH_UNITS[match[2] ?? 'h']}` : '1h';
    const end = (text(search[`g${n}.end_input`]) ?? '').trim().replace(' ', 'T');
    // Prometheus writes its end time in UTC without saying so.
    const endMs = end === '' ? Number.NaN : Date.parse(/Z$|[+-]\d\d:?\d\d$/.test(end) ? end : `${end}Z`);
    if (Number.isNaN(endMs)) range = { from: `now-${span}`, to: 'now' };
    else range = { from: `${new Date(endMs).toISOString()}||-${span}`, to: new Date(endMs).toISOString() };
  }
  return [{ ...emptyPane('a'), queries: queries.length > 0 ? queries : [emptyQuery(0)], range, view }];
}
