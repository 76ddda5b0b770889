// SPDX-License-Identifier: Apache-2.0
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { parseQuery } from '@/shared/api/prom';
import { DataRegion, stateOfError } from '@/shared/ui/DataRegion';
import { Panel } from '@/shared/ui/Panel';
import { formatValue } from '@/shared/units/format';
import type { PaneQuery } from '@/shared/url/panes';
import css from '../Explore.module.css';
import { instantWithStats } from '../instant';
import { buildTree, countExpr, type TreeNode } from '../promAst';
import { PanelName } from './PanelName';

/** Each query as a tree: what every part yields by itself, how many series, and how long it took. */
interface Props {
  pane: string;
  queries: readonly PaneQuery[];
  atMs: number;
}

export function ExplainResult({ pane, queries, atMs }: Props) {
  return (
    <>
      {queries.map((query) => (
        <Tree key={query.refId} pane={pane} query={query} atMs={atMs} />
      ))}
    </>
  );
}

function Tree({ pane, query, atMs }: { pane: string; query: PaneQuery; atMs: number }) {
  const { t } = useTranslation('explore');
  const parsed = useQuery({
    queryKey: ['parse_query', query.expr],
    queryFn: ({ signal }) => parseQuery(query.expr, signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const tree = useMemo(() => (parsed.data ? buildTree(parsed.data) : null), [parsed.data]);
  return (
    <Panel title={<PanelName name={t('explainOf', { id: query.refId })} pane={pane} />} aside={t('explainHint')}>
      <DataRegion
        minHeight={100}
        state={
          tree
            ? { kind: 'ready' }
            : parsed.error
              ? stateOfError(parsed.error, () => void parsed.refetch())
              : { kind: 'loading' }
        }
      >
        {tree && (
          <ul className={css.tree}>
            <Node node={tree} atMs={atMs} />
          </ul>
        )}
      </DataRegion>
    </Panel>
  );
}

function Node({ node, atMs }: { node: TreeNode; atMs: number }) {
  const { t } = useTranslation('explore');
  const expr = countExpr(node);
  const count = useQuery({
    queryKey: ['query_part', expr, atMs],
    queryFn: ({ signal }) => instantWithStats(expr ?? '', atMs, signal),
    enabled: expr !== null,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const result = count.data?.data;
  // The server's own time; without it the whole round trip.
  const spent = count.data ? (count.data.stats.evalSeconds ?? count.data.elapsedMs / 1000) : null;
  const series = result?.resultType === 'vector' ? Number(result.result[0]?.value?.[1] ?? 0) : null;
  // count() of a scalar is refused by the server: such a node is one number.
  const note =
    expr === null || count.error
      ? t('scalar')
      : series === null
        ? '…'
        : t('seriesCount', { count: series, shown: formatValue(series, 'count') });
  return (
    <li>
      <div className={css.node}>
        <code className={css.nodeHead} title={node.expr}>
          {node.head}
        </code>
        <span className={series === 0 ? css.nodeEmpty : css.nodeCount}>{note}</span>
        {spent !== null && <span className={css.nodeTime}>{formatValue(spent, 'seconds')}</span>}
      </div>
      {node.children.length > 0 && (
        <ul>
          {node.children.map((child) => (
            <Node key={child.path} node={child} atMs={atMs} />
          ))}
        </ul>
      )}
    </li>
  );
}
