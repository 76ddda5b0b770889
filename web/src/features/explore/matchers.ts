// SPDX-License-Identifier: Apache-2.0
// Narrows a query to (or away from) a label's value, at every selector in it. Loaded with the first use.
import { parser } from '@prometheus-io/lezer-promql';

interface Edit {
  from: number;
  to: number;
  text: string;
}

const PLAIN = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/**
 * `up` and job="node" give `up{job="node"}`. An equal matcher of the same label is replaced when `keep`, so that a second
 * choice does not contradict the first. A query that does not parse stays as it is.
 */
export function withMatcher(expr: string, label: string, value: string, keep: boolean): string {
  const tree = parser.parse(expr);
  const name = PLAIN.test(label) ? label : JSON.stringify(label);
  const matcher = `${name}${keep ? '=' : '!='}${JSON.stringify(value)}`;
  const edits: Edit[] = [];
  let broken = false;
  tree.iterate({
    enter(node) {
      if (node.type.isError) broken = true;
      if (node.name !== 'VectorSelector') return;
      const braces = node.node.getChild('LabelMatchers');
      if (!braces) {
        edits.push({ from: node.to, to: node.to, text: `{${matcher}}` });
        return false;
      }
      const inside = expr.slice(braces.from + 1, braces.to - 1).trim();
      for (const kind of ['UnquotedLabelMatcher', 'QuotedLabelMatcher'])
        for (const child of braces.getChildren(kind)) {
          const text = expr.slice(child.from, child.to);
          if (text === matcher) return false;
          const same = text.startsWith(`${name}=`) && !text.startsWith(`${name}=~`);
          if (keep && same) {
            edits.push({ from: child.from, to: child.to, text: matcher });
            return false;
          }
        }
      const comma = inside === '' || inside.endsWith(',') ? '' : ', ';
      edits.push({ from: braces.to - 1, to: braces.to - 1, text: `${comma}${matcher}` });
      return false;
    },
  });
  if (broken) return expr;
  return edits.reduceRight((text, e) => text.slice(0, e.from) + e.text + text.slice(e.to), expr);
}
