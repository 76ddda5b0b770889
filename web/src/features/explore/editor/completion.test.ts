// SPDX-License-Identifier: Apache-2.0
// What the LogQL editor offers at a place, and what it asks the server for it.
import { CompletionContext } from '@codemirror/autocomplete';
import { EditorState } from '@codemirror/state';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Asked, FakeServer, prom, refusal } from '@/shared/testing/server';
import { completeLogQl } from './logCompletion';

let server: FakeServer;
beforeEach(() => {
  server = new FakeServer().start();
  server
    .on('POST /loki/api/v1/labels', prom(['app', 'host']))
    .on('GET /loki/api/v1/label/app/values', prom(['web', 'say "hi"']))
    .on('GET /loki/api/v1/label/host/values', ({ params }: Asked) =>
      prom(params.get('query') ? ['narrow'] : ['a', 'b']),
    )
    .on('POST /loki/api/v1/detected_fields', () =>
      Response.json({ fields: [{ label: 'status', type: 'int', cardinality: 2, parsers: ['logfmt'] }] }),
    );
});

/** `|` is where the cursor is. */
async function at(text: string, explicit = true) {
  const pos = text.indexOf('‸');
  const state = EditorState.create({ doc: text.replace('‸', '') });
  const found = await completeLogQl(new CompletionContext(state, pos, explicit));
  return found ? { labels: found.options.map((o) => o.label), from: found.from } : null;
}

describe('completion of LogQL', () => {
  it('offers labels in a selector, and their values in quotes', async () => {
    expect((await at('{‸'))?.labels).toEqual(expect.arrayContaining(['app', 'host']));
    const values = await at('{app="‸');
    expect(values?.labels).toEqual(expect.arrayContaining(['web']));
    expect((await at('{app="we‸'))?.from).toBe('{app="'.length);
  });

  it('offers stages and parsers after a pipe, and the fields of these lines', async () => {
    const stages = (await at('{app="web"} | ‸'))?.labels ?? [];
    expect(stages.some((label) => /json/.test(label))).toBe(true);
    expect(stages.some((label) => /logfmt/.test(label))).toBe(true);
    const fields = (await at('{app="web"} | logfmt | ‸'))?.labels ?? [];
    expect(fields).toContain('status');
    expect(server.to('POST /loki/api/v1/detected_fields').at(-1)?.params.get('query')).toContain('{app="web"}');
  });

  it('offers functions where a query begins, and spans in brackets', async () => {
    expect((await at('ra‸'))?.labels).toEqual(expect.arrayContaining([expect.stringContaining('rate')]));
    expect((await at('rate({app="web"} [‸'))?.labels.length).toBeGreaterThan(2);
  });

  it('offers nothing unasked for at a place that says nothing, and nothing when the server is away', async () => {
    expect(await at('‸', false)).toBeNull();
    for (const path of ['GET /loki/api/v1/label/app/values', 'POST /loki/api/v1/labels'])
      server.on(path, () => refusal(500, 'internal', 'no'));
    expect(await at('{nothing="‸').catch(() => null)).toBeNull();
  });
});
