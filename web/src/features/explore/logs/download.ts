// SPDX-License-Identifier: Apache-2.0
// Lines as files: what is shown now, in its order, with every nanosecond.
import { saveFile } from '@/shared/ui/saveFile';
import { type LogLine, withoutAnsi } from './lines';

export type FileKind = 'txt' | 'json' | 'csv';

export const FILE_KINDS: readonly FileKind[] = ['txt', 'json', 'csv'];

const stamp = (line: LogLine) =>
  `${new Date(Math.floor(line.ms / 1000) * 1000).toISOString().slice(0, 19)}.${line.ns.slice(-9).padStart(9, '0')}Z`;

/** RFC 4180; a cell that a spreadsheet would take for a formula begins with an apostrophe. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function toCsv(lines: readonly LogLine[]): string {
  const labels = [...new Set(lines.flatMap((line) => Object.keys(line.stream)))].sort();
  const head = ['time', 'timestamp_ns', 'level', ...labels, 'line'].map(cell).join(',');
  const rows = lines.map((line) =>
    [stamp(line), line.ns, line.level, ...labels.map((name) => line.stream[name] ?? ''), withoutAnsi(line.text)]
      .map(cell)
      .join(','),
  );
  return `${[head, ...rows].join('\r\n')}\r\n`;
}

function toJson(lines: readonly LogLine[]): string {
  const list = lines.map((line) => ({
    time: stamp(line),
    timestampNs: line.ns,
    level: line.level,
    labels: line.stream,
    ...(Object.keys(line.metadata).length > 0 ? { metadata: line.metadata } : {}),
    ...(Object.keys(line.parsed).length > 0 ? { parsed: line.parsed } : {}),
    line: line.text,
  }));
  return `${JSON.stringify(list, null, 1)}\n`;
}

export function fileOf(lines: readonly LogLine[], kind: FileKind): { text: string; type: string } {
  if (kind === 'csv') return { text: toCsv(lines), type: 'text/csv' };
  if (kind === 'json') return { text: toJson(lines), type: 'application/json' };
  const text = lines.map((line) => `${stamp(line)} ${withoutAnsi(line.text)}\n`).join('');
  return { text, type: 'text/plain' };
}

export function downloadLines(lines: readonly LogLine[], kind: FileKind): void {
  const { text, type } = fileOf(lines, kind);
  const at = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  saveFile(`logs-${at}.${kind}`, text, type);
}
