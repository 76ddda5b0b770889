// SPDX-License-Identifier: Apache-2.0
// Development only: a tree in the shape of /api/v1/parse_query for simple calls and aggregations of one selector.
export function parseTree(text) {
  const q = text.trim();
  const binary = /^(.+?)\s*([*/+])\s*([\w.]+)$/.exec(q);
  if (binary && balanced(binary[1])) {
    const [lhs, rhs] = [parseTree(binary[1]), parseTree(binary[3])];
    return lhs && rhs ? { type: 'binaryExpr', op: binary[2], lhs, rhs, matching: null, bool: false } : null;
  }
  if (/^[\d.]+$/.test(q)) return { type: 'numberLiteral', val: q };
  const agg = /^(sum|avg|max|min|count)\s*(?:by\s*\(([^)]*)\)\s*)?\((.*)\)$/s.exec(q);
  if (agg) {
    const expr = parseTree(agg[3]);
    return (
      expr && {
        type: 'aggregation',
        op: agg[1],
        expr,
        param: null,
        grouping: (agg[2] ?? '')
          .split(',')
          .map((s) => s.trim())
          .filter(Boolean),
        without: false,
      }
    );
  }
  const call = /^(\w+)\((.*)\)$/s.exec(q);
  if (call) {
    const arg = parseTree(call[2]);
    return (
      arg && { type: 'call', func: { name: call[1], argTypes: [], variadic: 0, returnType: 'vector' }, args: [arg] }
    );
  }
  const selector = /^([\w:]+)(?:\{([^}]*)\})?(?:\[(\d+)([smh])\])?$/.exec(q);
  if (!selector) return null;
  const matchers = [...(selector[2] ?? '').matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)].map(([, name, type, value]) => ({
    name,
    type,
    value,
  }));
  const node = {
    type: selector[3] ? 'matrixSelector' : 'vectorSelector',
    name: selector[1],
    offset: 0,
    matchers,
    timestamp: null,
    startOrEnd: null,
  };
  return selector[3] ? { ...node, range: Number(selector[3]) * { s: 1, m: 60, h: 3600 }[selector[4]] * 1000 } : node;
}

function balanced(text) {
  let depth = 0;
  for (const c of text) depth += c === '(' ? 1 : c === ')' ? -1 : 0;
  return depth === 0;
}
