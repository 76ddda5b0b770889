// SPDX-License-Identifier: Apache-2.0
import { Fragment } from 'react';
import type { LogView } from '@/shared/url/panes';
import css from './Logs.module.css';
import { ansiSegments, hasAnsi, prettyJson, splitAt, withoutAnsi } from './lines';

interface Props {
  text: string;
  words: readonly string[];
  look: Pick<LogView, 'pretty' | 'ansi'>;
}

/** The line itself: text nodes only, whatever is in it. */
export function LogText({ text, words, look }: Props) {
  const pretty = look.pretty ? prettyJson(text) : null;
  if (pretty !== null) return <Marked text={pretty} words={words} />;
  if (!hasAnsi(text)) return <Marked text={text} words={words} />;
  if (!look.ansi) return <Marked text={withoutAnsi(text)} words={words} />;
  return ansiSegments(text).map((segment, index) => (
    <span key={index} className={css.ansi} data-ansi={segment.colour} data-bold={segment.bold ? '' : undefined}>
      <Marked text={segment.text} words={words} />
    </span>
  ));
}

function Marked({ text, words }: { text: string; words: readonly string[] }) {
  if (words.length === 0) return text;
  return splitAt(text, words).map((part, index) =>
    index % 2 === 1 ? <mark key={index}>{part}</mark> : <Fragment key={index}>{part}</Fragment>,
  );
}
