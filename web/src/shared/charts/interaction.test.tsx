// SPDX-License-Identifier: Apache-2.0
// A chart under the pointer and under the keys: crosshair, tooltip, pinning and what a pinned one offers.
import { act, fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { contextOf, HEIGHT, WIDTH, withLayout } from '../testing/dom';
import { mount, withTexts } from '../testing/mount';
import { type ChartModel, staticSource } from './model';
import { TimeChart, type TimeChartProps } from './TimeChart';
import { setTooltipPrefs } from './tooltipPrefs';

withLayout();
withTexts();

const T0 = 1_795_516_320_000;
const STEPS = 61;
const x = Float64Array.from({ length: STEPS }, (_, k) => T0 + k * 1000);
const series = (id: string, value: number, slot: number) => ({
  id,
  name: `series ${id}`,
  labels: { __name__: 'm', id },
  values: new Float64Array(STEPS).fill(value),
  pyramid: [],
  slot,
});
const MODEL: ChartModel = { x, series: [series('a', 10, 0), series('b', 20, 1), series('c', 30, 2)] };
const source = staticSource(MODEL, T0, T0 + (STEPS - 1) * 1000);

beforeEach(() => setTooltipPrefs({ mode: 'all', sort: 'desc' }));

async function show(more: Partial<TimeChartProps> = {}) {
  const props: TimeChartProps = {
    title: 'waves',
    source,
    unit: 'short',
    zone: 'utc',
    height: HEIGHT,
    hidden: new Set(),
    onHiddenChange: () => undefined,
    onZoom: () => undefined,
    onZoomOut: () => undefined,
    ...more,
  };
  await mount({ '/': () => <TimeChart {...props} /> });
  const plot = await screen.findByRole('group', { name: /^waves/ });
  await waitFor(() => expect(plot.querySelectorAll('canvas')).toHaveLength(2));
  const [, overlay] = plot.querySelectorAll('canvas') as unknown as [HTMLCanvasElement, HTMLCanvasElement];
  return { plot, overlay };
}
const tooltip = () => document.body.lastElementChild as HTMLElement;
const move = (plot: HTMLElement, clientX: number, clientY = HEIGHT / 2) =>
  act(
    () =>
      void plot.dispatchEvent(
        new PointerEvent('pointermove', { clientX, clientY, bubbles: true, pointerType: 'mouse' }),
      ),
  );
const click = (plot: HTMLElement, clientX: number, clientY = HEIGHT / 2) => {
  const at = { clientX, clientY, bubbles: true, pointerType: 'mouse', button: 0, pointerId: 1, isPrimary: true };
  act(() => {
    plot.dispatchEvent(new PointerEvent('pointerdown', at));
    plot.dispatchEvent(new PointerEvent('pointerup', at));
  });
};

describe('a chart', () => {
  it('says in a sentence what it shows', async () => {
    const { plot } = await show();
    expect(plot.getAttribute('aria-label')).toBe('waves: 3 series, highest 30 at 10:32:00 on series c');
  });

  it('tells all values at the crosshair, sorted as a person likes', async () => {
    const { plot, overlay } = await show();
    move(plot, WIDTH / 2);
    expect(tooltip().hidden).toBe(false);
    expect(tooltip().textContent).toMatch(/^2026-11-24 10:32:\d\d/);
    const names = () => [...tooltip().querySelectorAll('div > div > span:nth-child(2)')].map((e) => e.textContent);
    expect(names()).toEqual(['series c', 'series b', 'series a']);
    expect(contextOf(overlay).count('arc')).toBe(3);
    setTooltipPrefs({ sort: 'asc' });
    move(plot, WIDTH / 2 + 20);
    expect(names()).toEqual(['series a', 'series b', 'series c']);
    setTooltipPrefs({ mode: 'none' });
    move(plot, WIDTH / 2);
    expect(tooltip().hidden).toBe(true);
    setTooltipPrefs({ mode: 'all' });
    move(plot, WIDTH / 2);
    act(() => void plot.dispatchEvent(new PointerEvent('pointerleave', { bubbles: true, pointerType: 'mouse' })));
    expect(tooltip().hidden).toBe(true);
  });

  it('leaves out what is switched off', async () => {
    const { plot } = await show({ hidden: new Set(['b']) });
    move(plot, WIDTH / 2);
    expect(tooltip().textContent).not.toContain('series b');
    expect(tooltip().textContent).toContain('series c');
  });

  it('pins the tooltip on a click, offers what can be done with a series, and lets go', async () => {
    const filter = vi.fn();
    const run = vi.fn();
    const { plot } = await show({ actions: { filter, more: () => [{ label: 'logs of it', run }] } });
    move(plot, WIDTH / 2);
    click(plot, WIDTH / 2);
    const box = await screen.findByRole('dialog');
    fireEvent.click(within(box).getByRole('button', { name: 'series b' }));
    expect(within(box).getByText('id="b"')).toBeTruthy();
    expect(within(box).queryByText(/__name__/)).toBeNull();
    // A pinned box stays where it is.
    move(plot, 100);
    expect(screen.getByRole('dialog')).toBe(box);
    fireEvent.click(within(box).getByText('+'));
    expect(filter).toHaveBeenCalledWith('id', 'b', true);
    expect(screen.queryByRole('dialog')).toBeNull();

    move(plot, WIDTH / 2);
    click(plot, WIDTH / 2);
    fireEvent.click(within(await screen.findByRole('dialog')).getByRole('button', { name: 'series a' }));
    fireEvent.click(within(await screen.findByRole('dialog')).getByRole('button', { name: 'logs of it' }));
    expect(run).toHaveBeenCalledOnce();

    move(plot, WIDTH / 2);
    click(plot, WIDTH / 2);
    await screen.findByRole('dialog');
    act(() => void document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })));
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  it('is walked through by keys, which are spoken, and pinned by Enter', async () => {
    const { plot } = await show();
    plot.focus();
    const said = () => document.getElementById('announcer')?.textContent ?? '';
    fireEvent.keyDown(plot, { key: 'Home' });
    await waitFor(() => expect(said()).toContain('series a'));
    fireEvent.keyDown(plot, { key: 'ArrowDown' });
    fireEvent.keyDown(plot, { key: 'ArrowRight' });
    await waitFor(() => expect(said()).toMatch(/series b.*20.*10:32:01/));
    fireEvent.keyDown(plot, { key: 'Enter' });
    const box = await screen.findByRole('dialog');
    expect(box.contains(document.activeElement)).toBe(true);
    fireEvent.keyDown(plot, { key: 'x' });
    fireEvent.blur(plot);
  });

  it('draws series of others fainter while a row of the legend is pointed at', async () => {
    const { plot } = await show();
    const [canvas] = plot.querySelectorAll('canvas') as unknown as [HTMLCanvasElement];
    const before = contextOf(canvas).calls.length;
    fireEvent.mouseEnter(screen.getByRole('button', { name: 'series b' }));
    await waitFor(() => expect(contextOf(canvas).calls.length).toBeGreaterThan(before));
  });

  it('follows the crosshair of charts with the same key', async () => {
    const two = () => (
      <>
        {['one', 'two'].map((title) => (
          <TimeChart
            key={title}
            title={title}
            source={source}
            unit="short"
            zone="utc"
            hidden={new Set()}
            onHiddenChange={() => undefined}
            syncKey="k"
          />
        ))}
      </>
    );
    await mount({ '/': two });
    const one = await screen.findByRole('group', { name: /^one/ });
    const other = await screen.findByRole('group', { name: /^two/ });
    await waitFor(() => expect(other.querySelectorAll('canvas')).toHaveLength(2));
    await waitFor(() => expect(one.querySelectorAll('canvas')).toHaveLength(2));
    const overlay = other.querySelectorAll('canvas')[1] as HTMLCanvasElement;
    const before = contextOf(overlay).count('fillRect');
    move(one, WIDTH / 2);
    expect(contextOf(overlay).count('fillRect')).toBe(before + 1);
    // Only the chart under the pointer tells values.
    expect(
      [...document.body.children].filter(
        (e) =>
          e.textContent?.includes('series a') && !(e as HTMLElement).hidden && e !== document.body.firstElementChild,
      ),
    ).toHaveLength(1);
  });
});
