// SPDX-License-Identifier: Apache-2.0
// The tree of /api/v1/parse_query: each node's text, and its children, for reading a query from the inside out.

type Json = Record<string, unknown>;

export interface TreeNode {
  /** Position in the tree, "0.1.0". */
  path: string;
  kind: string;
  /** What this node adds, without its children. */
  head: string;
  /** The whole expression below and including this node. */
  expr: string;
  /** A range of samples cannot be asked for as an instant value. */
  isRange: boolean;
  children: TreeNode[];
}

const UNITS: [string, number][] = [
  ['y', 31_536_000_000],
  ['w', 604_800_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

export function promDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = Math.abs(ms);
  let out = ms < 0 ? '-' : '';
  for (const [unit, size] of UNITS) {
    const n = Math.floor(rest / size);
    if (n > 0) out += `${n}${unit}`;
    rest -= n * size;
  }
  return out;
}

const text = (value: unknown) =>
  typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value);
const array = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
const PLAIN_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

function selector(node: Json): string {
  const name = text(node.name);
  const plain = PLAIN_NAME.test(name);
  const matchers = array(node.matchers)
    .filter((m) => !(text(m.name) === '__name__' && text(m.type) === '=' && text(m.value) === name))
    .map(
      (m) =>
        `${PLAIN_NAME.test(text(m.name)) ? text(m.name) : JSON.stringify(text(m.name))}${text(m.type)}${JSON.stringify(text(m.value))}`,
    );
  const inside = [...(name !== '' && !plain ? [JSON.stringify(name)] : []), ...matchers];
  return `${plain ? name : ''}${inside.length > 0 || !plain ? `{${inside.join(', ')}}` : ''}`;
}

function at(node: Json): string {
  const parts: string[] = [];
  if (typeof node.timestamp === 'number') parts.push(`@ ${(node.timestamp / 1000).toFixed(3)}`);
  else if (text(node.startOrEnd) !== '') parts.push(`@ ${text(node.startOrEnd)}()`);
  const offset = Number(node.offset ?? 0);
  if (offset !== 0) parts.push(`offset ${promDuration(offset)}`);
  return parts.length > 0 ? ` ${parts.join(' ')}` : '';
}

function grouping(node: Json): string {
  const labels = strings(node.grouping);
  if (labels.length === 0 && node.without !== true) return '';
  return ` ${node.without === true ? 'without' : 'by'} (${labels.join(', ')})`;
}

function matching(node: Json): string {
  const m = node.matching as Json | null | undefined;
  const bool = node.bool === true ? ' bool' : '';
  if (!m) return bool;
  const labels = strings(m.labels);
  let out = bool;
  if (m.on === true || labels.length > 0) out += ` ${m.on === true ? 'on' : 'ignoring'} (${labels.join(', ')})`;
  const card = text(m.card);
  if (card === 'many-to-one') out += ` group_left (${strings(m.include).join(', ')})`;
  if (card === 'one-to-many') out += ` group_right (${strings(m.include).join(', ')})`;
  return out;
}

export function buildTree(value: unknown, path = '0'): TreeNode {
  const node = (value ?? {}) as Json;
  const kind = text(node.type);
  const child = (v: unknown, index: number) => buildTree(v, `${path}.${index}`);
  const leaf = (expr: string, isRange = false): TreeNode => ({ path, kind, head: expr, expr, isRange, children: [] });
  switch (kind) {
    case 'vectorSelector':
      return leaf(`${selector(node)}${at(node)}`);
    case 'matrixSelector':
      return leaf(`${selector(node)}[${promDuration(Number(node.range ?? 0))}]${at(node)}`, true);
    case 'numberLiteral':
      return leaf(text(node.val));
    case 'stringLiteral':
      return leaf(JSON.stringify(text(node.val)));
    case 'parenExpr': {
      const inner = child(node.expr, 0);
      return { ...inner, path, expr: `(${inner.expr})` };
    }
    case 'stepInvariantExpr':
      return child(node.expr, 0);
    case 'unaryExpr': {
      const inner = child(node.expr, 0);
      return {
        path,
        kind,
        head: text(node.op),
        expr: `${text(node.op)}${inner.expr}`,
        isRange: false,
        children: [inner],
      };
    }
    case 'subquery': {
      const inner = child(node.expr, 0);
      const step = Number(node.step ?? 0);
      const head = `[${promDuration(Number(node.range ?? 0))}:${step > 0 ? promDuration(step) : ''}]${at(node)}`;
      return { path, kind, head, expr: `${inner.expr}${head}`, isRange: true, children: [inner] };
    }
    case 'call': {
      const name = text((node.func as Json | undefined)?.name);
      const args = array(node.args).map(child);
      return {
        path,
        kind,
        head: `${name}()`,
        expr: `${name}(${args.map((a) => a.expr).join(', ')})`,
        isRange: false,
        children: args,
      };
    }
    case 'aggregation': {
      const op = text(node.op);
      const inner = child(node.expr, 0);
      const param = node.param ? child(node.param, 1) : null;
      const head = `${op}${grouping(node)}`;
      const inside = param ? `${param.expr}, ${inner.expr}` : inner.expr;
      return {
        path,
        kind,
        head: param ? `${head} (${param.expr})` : head,
        expr: `${head} (${inside})`,
        isRange: false,
        children: [inner],
      };
    }
    case 'binaryExpr': {
      const [lhs, rhs] = [child(node.lhs, 0), child(node.rhs, 1)];
      const head = `${text(node.op)}${matching(node)}`;
      const wrap = (n: TreeNode) => (n.kind === 'binaryExpr' && !n.expr.startsWith('(') ? `(${n.expr})` : n.expr);
      return { path, kind, head, expr: `${wrap(lhs)} ${head} ${wrap(rhs)}`, isRange: false, children: [lhs, rhs] };
    }
    default:
      return leaf(kind === '' ? '?' : kind);
  }
}

/** The instant query that counts what a node yields. */
export function countExpr(node: TreeNode): string | null {
  if (node.kind === 'stringLiteral' || node.kind === 'numberLiteral') return null;
  return node.isRange ? `count(last_over_time(${node.expr}))` : `count(${node.expr})`;
}
