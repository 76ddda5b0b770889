// SPDX-License-Identifier: Apache-2.0
// What may come next in a LogQL query, from the text left of the cursor and the server's labels.
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { detectedFields, logLabels, logLabelValues } from '../logs/api';

const RANGES = [
  'count_over_time',
  'rate',
  'bytes_over_time',
  'bytes_rate',
  'absent_over_time',
  'sum_over_time',
  'avg_over_time',
  'min_over_time',
  'max_over_time',
  'first_over_time',
  'last_over_time',
  'stddev_over_time',
  'stdvar_over_time',
  'quantile_over_time',
  'rate_counter',
];
const VECTORS = ['sum', 'avg', 'min', 'max', 'count', 'topk', 'bottomk', 'approx_topk', 'stddev', 'stdvar', 'sort'];
const STAGES = [
  'json',
  'logfmt',
  'pattern',
  'regexp',
  'unpack',
  'line_format',
  'label_format',
  'decolorize',
  'drop',
  'keep',
  'unwrap',
];
const FILTERS = ['|=', '!=', '|~', '!~', '|>', '!>'];
const SPANS = ['1m', '5m', '10m', '30m', '1h', '6h', '1d'];

const AGE_MS = 60_000;
const memory = new Map<string, { at: number; value: Promise<readonly string[]> }>();

/** Answers are kept for a minute; a failure gives nothing, and is asked again. */
function remembered(key: string, make: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const held = memory.get(key);
  if (held && Date.now() - held.at < AGE_MS) return held.value;
  const value = make().catch(() => {
    memory.delete(key);
    return [];
  });
  memory.set(key, { at: Date.now(), value });
  if (memory.size > 100) memory.delete(memory.keys().next().value as string);
  return value;
}

export type Place =
  | { kind: 'label'; word: string }
  | { kind: 'value'; word: string; label: string; others: string }
  | { kind: 'stage'; word: string; selector: string }
  | { kind: 'span'; word: string }
  | { kind: 'function'; word: string }
  | { kind: 'grouping'; word: string }
  | null;

/** Text with its strings blanked out, so that braces and bars in them mean nothing; the length stays. */
function withoutStrings(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, (all) => '_'.repeat(all.length));
}

/** Where the cursor is, from the text before it. */
export function placeOf(before: string): Place {
  const bare = withoutStrings(before);
  const brace = bare.lastIndexOf('{');
  if (brace > bare.lastIndexOf('}')) {
    const inside = before.slice(brace + 1);
    const value = /(?:^|,)\s*([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"([^"]*)$/.exec(inside);
    if (value) {
      const others = inside.slice(0, value.index).replace(/,\s*$/, '').trim();
      return { kind: 'value', label: value[1] as string, word: value[2] as string, others };
    }
    const label = /(?:^|,)\s*(\w*)$/.exec(inside);
    return label ? { kind: 'label', word: label[1] as string } : null;
  }
  if (/"[^"]*$/.test(bare.replaceAll('_', ''))) return null;
  const span = /\[(\w*)$/.exec(bare);
  if (span) return { kind: 'span', word: span[1] as string };
  const by = /\b(?:by|without)\s*\((?:[\w\s]*,)*\s*(\w*)$/.exec(bare);
  if (by) return { kind: 'grouping', word: by[1] as string };
  const closed = bare.lastIndexOf('}');
  if (closed > bare.lastIndexOf('(') && !/[\])]\s*\w*$/.test(bare)) {
    const stage = /\|\s*(\w*)$/.exec(bare) ?? /\s(\w*)$/.exec(bare) ?? /}()$/.exec(bare);
    if (!stage) return null;
    return { kind: 'stage', word: stage[1] as string, selector: before.slice(bare.lastIndexOf('{'), closed + 1) };
  }
  const word = /(?:^|[\s(,+*/-])([a-z_]*)$/.exec(bare);
  return word ? { kind: 'function', word: word[1] as string } : null;
}

const option = (label: string, type: string, boost = 0): Completion => ({ label, type, boost });

async function stages(bare: string, selector: string): Promise<Completion[]> {
  const afterBar = /\|\s*\w*$/.test(bare);
  const fields = await remembered(`fields ${selector}`, async () =>
    (await detectedFields(selector)).map((field) => field.label),
  );
  const lead = afterBar ? '' : '| ';
  return [
    ...(afterBar ? [] : FILTERS.map((f) => ({ ...option(f, 'operator', 2), apply: `${f} "` }))),
    ...STAGES.map((s) => ({ ...option(s, 'keyword', 1), apply: `${lead}${s} ` })),
    ...fields.map((f) => ({ ...option(f, 'property'), apply: `${lead}${f}=` })),
  ];
}

async function optionsFor(place: NonNullable<Place>, bare: string): Promise<Completion[]> {
  switch (place.kind) {
    case 'label':
    case 'grouping': {
      const names = await remembered('labels', () => logLabels());
      const all = place.kind === 'grouping' ? [...new Set([...names, 'detected_level'])] : names;
      return all.map((name) => ({
        ...option(name, 'property'),
        ...(place.kind === 'label' ? { apply: `${name}="` } : {}),
      }));
    }
    case 'value': {
      const query = place.others === '' ? undefined : `{${place.others}}`;
      const values = await remembered(`values ${place.label} ${query}`, () => logLabelValues(place.label, query));
      return values.map((value) => ({ ...option(value, 'text'), apply: JSON.stringify(value).slice(1, -1) }));
    }
    case 'span':
      return SPANS.map((s, i) => option(s, 'number', -i));
    case 'stage':
      return stages(bare, place.selector);
    default:
      return [
        ...RANGES.map((f) => ({ ...option(f, 'function'), apply: `${f}({` })),
        ...VECTORS.map((f) => ({ ...option(f, 'function'), apply: `${f}(` })),
      ];
  }
}

export async function completeLogQl(context: CompletionContext): Promise<CompletionResult | null> {
  const before = context.state.sliceDoc(0, context.pos);
  const place = placeOf(before);
  if (!place) return null;
  const eager = place.kind === 'label' || place.kind === 'value' || place.kind === 'span' || place.kind === 'stage';
  if (place.word === '' && !context.explicit && !eager) return null;
  const options = await optionsFor(place, withoutStrings(before));
  return options.length === 0 ? null : { from: context.pos - place.word.length, options, validFor: /^[^"]*$/ };
}
