// SPDX-License-Identifier: Apache-2.0
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startI18n } from '../i18n';
import { prefs } from '../prefs';
import { Legend } from './Legend';
import type { ChartModel } from './model';

beforeAll(async () => {
  prefs.set((p) => ({ ...p, language: 'en' }));
  await startI18n();
}, 60_000);
afterEach(cleanup);

const model = (count: number): ChartModel => ({
  x: Float64Array.of(0, 1),
  series: Array.from({ length: count }, (_, i) => ({
    id: `s${i}`,
    name: `series ${i}`,
    labels: {},
    values: Float64Array.of(i, 2 * i),
    pyramid: [],
    slot: i,
  })),
});

describe('legend', () => {
  const show = (count: number, kind: 'list' | 'table', hidden = new Set<string>()) => {
    const onChange = vi.fn();
    render(
      <Legend
        model={model(count)}
        hidden={hidden}
        unit="short"
        kind={kind}
        onChange={onChange}
        onHover={() => undefined}
      />,
    );
    return onChange;
  };
  it('isolates with a click and toggles with Ctrl', () => {
    const change = show(3, 'list');
    fireEvent.click(screen.getByRole('button', { name: 'series 1' }));
    expect(change).toHaveBeenLastCalledWith(new Set(['s0', 's2']));
    fireEvent.click(screen.getByRole('button', { name: 'series 1' }), { ctrlKey: true });
    expect(change).toHaveBeenLastCalledWith(new Set(['s1']));
  });
  it('says what is off', () => {
    show(2, 'list', new Set(['s1']));
    expect(screen.getByRole('button', { name: 'series 1' }).getAttribute('aria-pressed')).toBe('false');
  });
});
