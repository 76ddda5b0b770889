// SPDX-License-Identifier: Apache-2.0
import css from './OfQuery.module.css';

interface Props {
  refIds: readonly string[];
  expr: string;
}

/** Heads what is of one query (or of several that ask for the same) where a pane has more than one. */
export function OfQuery({ refIds, expr }: Props) {
  return (
    <h3 className={css.head}>
      {refIds.map((refId) => (
        <span key={refId} className={css.refId}>
          {refId}
        </span>
      ))}
      <code>{expr}</code>
    </h3>
  );
}
