// SPDX-License-Identifier: Apache-2.0

export interface Position {
  line: number;
  column: number;
}

/**
 * Prometheus writes where a query is wrong in front of the message: `1:5: parse error: …`,
 * sometimes after `invalid parameter "query": `.
 */
export function splitPosition(message: string): { position: Position | null; text: string } {
  const match =
    /^(?:invalid parameter "?'?query"?'?: )?(\d+):(\d+): ([\s\S]*)$/.exec(message) ??
    // Of a log query: `parse error at line 1, col 7: …`.
    /^(?:parse error )?at line (\d+), col(?:umn)? (\d+): ([\s\S]*)$/.exec(message);
  if (!match) return { position: null, text: message };
  return { position: { line: Number(match[1]), column: Number(match[2]) }, text: match[3] ?? '' };
}

/** The line of the query in question with a caret below the place, for reading without the editor. */
export function caretLines(expr: string, position: Position): [string, string] {
  const line = expr.split('\n')[position.line - 1] ?? '';
  return [line, `${' '.repeat(Math.max(0, position.column - 1))}^`];
}
