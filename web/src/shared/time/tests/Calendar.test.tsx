// SPDX-License-Identifier: Apache-2.0
import { fireEvent, screen } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { withLayout } from '../../testing/dom';
import { mount, withTexts } from '../../testing/mount';
import Calendar from '../Calendar';

withLayout();
withTexts();

const range = { fromMs: Date.UTC(2026, 10, 10, 12), toMs: Date.UTC(2026, 10, 12, 12) };

describe('the calendar', () => {
  it('gives whole days, first and last included', async () => {
    const onPick = vi.fn();
    const onBack = vi.fn();
    await mount({ '/': () => <Calendar range={range} zone="utc" onPick={onPick} onBack={onBack} /> });
    const day = (text: string) => screen.getAllByRole('button').find((b) => b.textContent === text) as HTMLElement;
    fireEvent.click(screen.getByRole('button', { name: 'Apply' }));
    expect(onPick).toHaveBeenLastCalledWith('2026-11-10 00:00:00', '2026-11-12 23:59:59');
    fireEvent.click(day('20'));
    fireEvent.click(screen.getByRole('button', { name: 'Apply' }));
    expect(onPick).toHaveBeenLastCalledWith('2026-11-20 00:00:00', '2026-11-20 23:59:59');
    fireEvent.click(day('24'));
    fireEvent.click(screen.getByRole('button', { name: 'Apply' }));
    expect(onPick).toHaveBeenLastCalledWith('2026-11-20 00:00:00', '2026-11-24 23:59:59');
    fireEvent.click(screen.getByRole('button', { name: 'Cancel' }));
    expect(onBack).toHaveBeenCalledOnce();
  });
});
