// SPDX-License-Identifier: Apache-2.0
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startI18n } from '../../i18n';
import { prefs } from '../../prefs';
import { CompareControl } from '../CompareControl';

beforeAll(async () => {
  prefs.set((p) => ({ ...p, language: 'en' }));
  await startI18n();
}, 60_000);
afterEach(cleanup);

describe('choosing an older period', () => {
  const show = (compare: string) => {
    const setCompare = vi.fn();
    render(<CompareControl time={{ compare, setCompare }} />);
    fireEvent.click(screen.getByRole('button', { name: /Compare/ }));
    return setCompare;
  };
  it('offers the usual ones and says which is on', () => {
    const set = show('1d');
    expect(screen.getByRole('button', { name: 'Same time yesterday' }).getAttribute('aria-pressed')).toBe('true');
    fireEvent.click(screen.getByRole('button', { name: 'Previous period' }));
    expect(set).toHaveBeenCalledWith('previous');
    expect(screen.queryByRole('dialog')).toBeNull();
  });
  it('takes any distance, and refuses what is none', () => {
    const set = show('');
    const field = screen.getByLabelText(/Another distance/);
    fireEvent.change(field, { target: { value: 'soon' } });
    expect(field.getAttribute('aria-invalid')).toBe('true');
    fireEvent.submit(field);
    expect(set).not.toHaveBeenCalled();
    fireEvent.change(field, { target: { value: '36 h' } });
    fireEvent.submit(field);
    expect(set).toHaveBeenCalledWith('36h');
  });
  it('keeps a distance of its own in the list', () => {
    const set = show('36h');
    expect(screen.getByRole('button', { name: '36h earlier', pressed: true })).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'No comparison' }));
    expect(set).toHaveBeenCalledWith('');
  });
});
