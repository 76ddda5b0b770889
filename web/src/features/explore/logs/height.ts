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

export interface TextPlace {
  /** Characters side by side; endless while lines do not wrap, or none has been drawn yet. */
  columns: number;
  /** Pixels that time and level take above the text, on a narrow screen. */
  above: number;
}

const UNKNOWN: TextPlace = { columns: Number.POSITIVE_INFINITY, above: 0 };

/** Where the texts (`selector`) of the list stand in their lines, kept current while its width changes; `any`: it has lines. */
export function useTextPlace(
  scroller: RefObject<HTMLElement | null>,
  selector: string,
  wrap: boolean,
  any: boolean,
): TextPlace {
  const [place, setPlace] = useState(UNKNOWN);
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box || !any) return;
    const measure = () => {
      const text = box.querySelector<HTMLElement>(selector);
      const line = text?.parentElement;
      if (!text || !line || text.clientWidth === 0) return;
      const { paddingLeft, paddingRight } = getComputedStyle(text);
      const width = text.clientWidth - Number.parseFloat(paddingLeft) - Number.parseFloat(paddingRight);
      const columns = wrap ? Math.max(1, Math.floor(width / characterWidth(text) + 1e-3)) : UNKNOWN.columns;
      const top = Number.parseFloat(getComputedStyle(line).paddingTop);
      const above = Math.round(text.getBoundingClientRect().top - line.getBoundingClientRect().top - top);
      setPlace((known) => (known.columns === columns && known.above === above ? known : { columns, above }));
    };
    measure();
    // Another font may come first.
    void document.fonts?.ready.then(measure);
    const watch = new ResizeObserver(measure);
    watch.observe(box);
    return () => watch.disconnect();
  }, [scroller, selector, wrap, any]);
  return place;
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
