// SPDX-License-Identifier: Apache-2.0
import { MantineProvider } from '@mantine/core';
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api/request';
import { startI18n } from '../i18n';
import { prefs } from '../prefs';
import { DataRegion, type RegionState, stateOfError } from './DataRegion';

beforeAll(async () => {
  prefs.set((p) => ({ ...p, language: 'en' }));
  await startI18n();
});
afterEach(cleanup);

const show = (state: RegionState) =>
  render(
    <MantineProvider>
      <DataRegion state={state} minHeight={100}>
        <p>the data</p>
      </DataRegion>
    </MantineProvider>,
  );

describe('the six states of a data region', () => {
  it('ready shows the data', () => {
    show({ kind: 'ready' });
    expect(screen.getByText('the data')).toBeTruthy();
  });
  it('loading holds the place at once and says so after a moment', async () => {
    const { container } = show({ kind: 'loading' });
    expect(container.querySelector<HTMLElement>('[aria-busy="true"]')?.style.minHeight).toBe('100px');
    expect(screen.queryByText('Loading…')).toBeNull();
    await waitFor(() => expect(screen.getByText('Loading…')).toBeTruthy());
    expect(screen.queryByText('the data')).toBeNull();
  });
  it('partial keeps the data and lists the failures', () => {
    show({ kind: 'partial', failures: ['query B: no such function'] });
    expect(screen.getByText('the data')).toBeTruthy();
    expect(screen.getByText('1 query failed; the rest is shown')).toBeTruthy();
    expect(screen.getByText('query B: no such function')).toBeTruthy();
  });
  it('empty says why and offers the fix', () => {
    const run = vi.fn();
    show({ kind: 'empty', why: 'No samples in this time range.', fixes: [{ label: 'Zoom out', run }] });
    fireEvent.click(screen.getByRole('button', { name: 'Zoom out' }));
    expect(run).toHaveBeenCalledOnce();
  });
  it('error gives a sentence, the cause, a retry and the raw answer', () => {
    const retry = vi.fn();
    const error = new ApiError(
      503,
      { code: 'unavailable', message: 'replaying the journal', params: {} },
      'r-7',
      '{"code":"unavailable"}',
    );
    show({ kind: 'error', error, retry });
    expect(screen.getByText('The server is not ready for this yet')).toBeTruthy();
    expect(screen.getByText('replaying the journal')).toBeTruthy();
    expect(screen.getByText('{"code":"unavailable"}')).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
    expect(retry).toHaveBeenCalledOnce();
  });
  it('stale shows the age above the data', () => {
    show({ kind: 'stale', ageSeconds: 75 });
    expect(screen.getByText('Data is 1 min 15 s old')).toBeTruthy();
    expect(screen.getByText('the data')).toBeTruthy();
  });
  it('forbidden says who can grant it', () => {
    show(stateOfError(new ApiError(403, { code: 'forbidden', message: 'no', params: {} }, null, '')));
    expect(screen.getByText('You may not see this.')).toBeTruthy();
    expect(screen.getByText(/administrator/i)).toBeTruthy();
  });
});
