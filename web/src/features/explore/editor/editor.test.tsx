// SPDX-License-Identifier: Apache-2.0
// The real editors: what a person types, what comes from outside, marks of problems, and names of the server.
import { CompletionContext } from '@codemirror/autocomplete';
import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { useQuery } from '@tanstack/react-query';
import { act, fireEvent, screen, waitFor } from '@testing-library/react';
import { useState } from 'react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { withLayout } from '@/shared/testing/dom';
import { mount, withTexts } from '@/shared/testing/mount';
import { type Asked, FakeServer, prom, refusal } from '@/shared/testing/server';
import { forgetNames } from '../metricNames';
import { completeStrategy, describeMetric } from './client';
import LogEditor from './LogEditor';
import PromEditor from './PromEditor';
import type { QueryEditorProps } from './QueryEditor';

withLayout();
withTexts('explore');
Range.prototype.getClientRects = () => [] as unknown as DOMRectList;

let server: FakeServer;
beforeEach(() => {
  server = new FakeServer().start();
  server
    .on('GET /api/v1/label/__name__/values', prom(['node_load1', 'node_load5', 'up']))
    .on('GET /api/v1/metadata', prom({ node_load1: [{ type: 'gauge', help: 'One minute load', unit: '' }] }))
    .on('POST /api/v1/labels', prom(['host', 'job']))
    .on('GET /api/v1/label/job/values', prom(['api', 'web']))
    .on('POST /api/v1/series', prom([{ __name__: 'up', job: 'api' }]));
});

const PROPS: QueryEditorProps = {
  value: 'up',
  label: 'Query A',
  hint: 'type here',
  autoFocus: false,
  problem: null,
  onChange: () => undefined,
  onRun: () => undefined,
  onFormat: () => undefined,
};
type Editor = typeof PromEditor;

/** Text from outside the editor: the address, another row. */
function Held({ Editor, onChange }: { Editor: Editor; onChange: (text: string) => void }) {
  const [value, setValue] = useState('up');
  return (
    <>
      <input aria-label="from outside" value={value} onChange={(event) => setValue(event.currentTarget.value)} />
      <Editor {...PROPS} value={value} onChange={onChange} />
    </>
  );
}

function Marked({ Editor }: { Editor: Editor }) {
  const { data = null } = useQuery<QueryEditorProps['problem']>({ queryKey: ['problem'], enabled: false });
  return <Editor {...PROPS} value={'sum(\n  nothing)'} problem={data} />;
}

const content = () => screen.getByRole('textbox', { name: 'Query A' });
const view = () => EditorView.findFromDOM(content()) as EditorView;
const type = (text: string) => act(() => view().dispatch({ changes: { from: view().state.doc.length, insert: text } }));

describe.each([
  ['PromQL', PromEditor],
  ['LogQL', LogEditor],
])('the editor of %s', (_name, Editor) => {
  it('tells what a person types, not what it was given', async () => {
    const onChange = vi.fn();
    await mount({ '/': () => <Held Editor={Editor} onChange={onChange} /> });
    expect(content().textContent).toBe('up');
    fireEvent.change(screen.getByLabelText('from outside'), { target: { value: 'sum(up)' } });
    expect(view().state.doc.toString()).toBe('sum(up)');
    expect(onChange).not.toHaveBeenCalled();
    type(' + 1');
    expect(onChange).toHaveBeenLastCalledWith('sum(up) + 1');
  });

  it('runs and formats by its keys', async () => {
    const onRun = vi.fn();
    const onFormat = vi.fn();
    await mount({ '/': () => <Editor {...PROPS} onRun={onRun} onFormat={onFormat} /> });
    fireEvent.keyDown(content(), { key: 'Enter', shiftKey: true });
    fireEvent.keyDown(content(), { key: 'Enter', ctrlKey: true });
    expect(onRun).toHaveBeenCalledTimes(2);
    fireEvent.keyDown(content(), { key: 'f', code: 'KeyF', keyCode: 70, altKey: true, shiftKey: true });
    expect(onFormat).toHaveBeenCalledOnce();
    expect(view().state.doc.toString()).toBe('up');
  });

  it('marks where the server says that it is wrong, until the server takes it', async () => {
    const page = await mount({ '/': () => <Marked Editor={Editor} /> });
    const set = (problem: QueryEditorProps['problem']) => page.client.setQueryData(['problem'], problem);
    act(() => set({ position: { line: 2, column: 3 }, message: 'no such thing' }));
    const marked = () => document.querySelector('.cm-lintRange-error')?.textContent ?? null;
    await waitFor(() => expect(marked()).toBe('nothing'));
    // A place beyond the end of the text is no reason to fall over.
    act(() => set({ position: { line: 99, column: 99 }, message: 'x' }));
    act(() => set({ position: null, message: 'x' }));
    await waitFor(() => expect(marked()).toBeNull());
    act(() => set(null));
    expect(marked()).toBeNull();
  });
});

describe('completion of PromQL', () => {
  const complete = async (text: string) => {
    const pos = text.indexOf('‸');
    const strategy = completeStrategy();
    const extensions = [new PromQLExtension().asExtension()];
    const state = EditorState.create({ doc: text.replace('‸', ''), extensions });
    const found = await strategy.promQL(new CompletionContext(state, pos, true));
    strategy.destroy?.();
    return found?.options.map((o) => o.label) ?? [];
  };

  it('knows names, labels and values of the server, and asks for each once', async () => {
    expect(await complete('node_‸')).toEqual(expect.arrayContaining(['node_load1', 'node_load5']));
    expect(await complete('node_l‸')).toContain('node_load1');
    expect(server.to('GET /api/v1/label/__name__/values')).toHaveLength(1);
    expect(await complete('up{‸}')).toEqual(expect.arrayContaining(['host', 'job']));
    expect(await complete('up{job="‸"}')).toEqual(expect.arrayContaining(['api', 'web']));
    expect(server.to('GET /api/v1/label/job/values')[0]?.params.get('match[]')).toBe('up');
    await complete('up{host="a",job="‸"}');
    expect(server.to('GET /api/v1/label/job/values').at(-1)?.params.get('match[]')).toBe('up{host="a"}');
  });

  it('describes a metric under the pointer by asking for it alone, or for what it is a part of', async () => {
    const wait = { type: 'histogram', help: 'Waiting', unit: 'seconds' };
    server.on('GET /api/v1/metadata', ({ params }: Asked) =>
      prom(params.get('metric') === 'wait' ? { wait: [wait] } : {}),
    );
    expect(await describeMetric('wait_bucket')).toEqual(wait);
    expect(await describeMetric('nothing')).toBeUndefined();
    const asked = server.to('GET /api/v1/metadata').map((a) => a.params.get('metric'));
    expect(asked).toEqual(['wait_bucket', 'wait', 'nothing']);
  });

  it('of very many names holds those that fit, and asks for no descriptions', async () => {
    forgetNames();
    const many = Array.from({ length: 30_000 }, (_, i) => `node_${String(i).padStart(5, '0')}_total`);
    server.on('GET /api/v1/label/__name__/values', prom(many));
    expect(await complete('node_1234‸')).toContain('node_12345_total');
    expect((await complete('node‸')).filter((name) => name.endsWith('_total'))).toHaveLength(500);
    expect(await complete('{__name__="29999‸"}')).toEqual(['node_29999_total']);
    expect(server.to('GET /api/v1/label/__name__/values')).toHaveLength(1);
    expect(server.to('GET /api/v1/metadata')).toHaveLength(0);
  });

  it('of very many values asks for those that hold what is typed', async () => {
    const list = (prefix: string, n: number) => Array.from({ length: n }, (_, i) => `${prefix}${i}`);
    server.on('GET /api/v1/label/pod/values', ({ params }: Asked) =>
      prom(params.get('match[]')?.includes('pod=~') ? ['x.9'] : list('a', Number(params.get('limit')))),
    );
    expect((await complete('up{pod="‸"}')).length).toBe(2000);
    expect(await complete('up{pod="x.‸"}')).toEqual(['x.9']);
    expect(server.to('GET /api/v1/label/pod/values').at(-1)?.params.get('match[]')).toBe('up{pod=~"(?i).*x\\\\..*"}');
  });

  it('goes on with functions while the server is away', async () => {
    server.on('POST /api/v1/labels', () => refusal(400, 'x', 'no'));
    expect(await complete('rat‸')).toContain('rate');
    await waitFor(async () => expect(await complete('other{‸}')).toEqual([]));
  });
});
