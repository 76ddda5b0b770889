// SPDX-License-Identifier: Apache-2.0
// How high a line stands before it is drawn. Text breaks after any character here, as in a terminal, so that this is
// arithmetic: a list of a hundred thousand lines whose heights were guesses would be laid out anew with each line that
// comes into sight.
import { type RefObject, useLayoutEffect, useState } from 'react';
import { hasAnsi, withoutAnsi } from './lines';

const TAB = 4;

/** Rows of a text that is `columns` wide; exact where all characters have one width. */
export function rowsOf(text: string, columns: number): number {
  const shown = hasAnsi(text) ? withoutAnsi(text) : text;
  if (!shown.includes('\n') && !shown.includes('\t')) return Math.max(1, Math.ceil(shown.length / columns));
  let rows = 1;
  let column = 0;
  // A break at the very end opens no row.
  const end = shown.endsWith('\n') ? shown.length - 1 : shown.length;
  for (let k = 0; k < end; k++) {
    const character = shown[k];
    if (character === '\n') {
      rows += 1;
      column = 0;
      continue;
    }
    const width = character === '\t' ? TAB - (column % TAB) : 1;
    if (column + width > columns && column > 0) {
      rows += 1;
      column = 0;
    }
    column += width;
  }
  return rows;
}

/** Characters that stand side by side in the texts (`selector`) of the list; endless while none is there or they do not wrap. */
export function useColumns(scroller: RefObject<HTMLElement | null>, selector: string, wrap: boolean): number {
  const [columns, setColumns] = useState(Number.POSITIVE_INFINITY);
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box || !wrap) return setColumns(Number.POSITIVE_INFINITY);
    const measure = () => {
      const text = box.querySelector<HTMLElement>(selector);
      const width = text?.clientWidth ?? 0;
      const one = text && width > 0 ? characterWidth(text) : 0;
      setColumns(one > 0 ? Math.max(1, Math.floor(width / one + 1e-3)) : Number.POSITIVE_INFINITY);
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(box);
    return () => watch.disconnect();
  }, [scroller, selector, wrap]);
  return columns;
}

function characterWidth(like: HTMLElement): number {
  const probe = document.createElement('span');
  probe.textContent = '0'.repeat(100);
  probe.style.cssText = 'position:absolute;visibility:hidden;white-space:pre';
  like.append(probe);
  const { width } = probe.getBoundingClientRect();
  probe.remove();
  return width / 100;
}
