// SPDX-License-Identifier: Apache-2.0
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadCatalogues, startI18n } from '@/shared/i18n';
import { Split } from './Split';

beforeAll(async () => {
  await startI18n();
  await loadCatalogues('explore');
}, 60_000);
afterEach(cleanup);

describe('the line between two panes', () => {
  const show = (share: number) => {
    const onShare = vi.fn();
    render(<Split left={<p>left</p>} right={<p>right</p>} share={share} onShare={onShare} />);
    return { onShare, line: screen.getByRole('separator') };
  };
  it('moves by keys within its bounds', () => {
    const { onShare, line } = show(50);
    for (const key of ['ArrowLeft', 'ArrowRight', 'PageUp', 'Home', 'End', 'Enter', 'x'])
      fireEvent.keyDown(line, { key });
    expect(onShare.mock.calls.map((c) => c[0])).toEqual([48, 52, 60, 20, 80, 50]);
    expect(line.getAttribute('aria-valuenow')).toBe('50');
  });
  it('goes back to the middle with a double click', () => {
    const { onShare, line } = show(70);
    fireEvent.doubleClick(line);
    expect(onShare).toHaveBeenCalledWith(50);
  });
});
