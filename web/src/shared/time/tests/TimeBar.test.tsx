// SPDX-License-Identifier: Apache-2.0
import { fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { withClipboard, withLayout, withSockets } from '../../testing/dom';
import { mount, withTexts } from '../../testing/mount';
import { lockRange, timeLock } from '../lock';
import { TimeBar } from '../TimeBar';
import { useUrlTime } from '../useTime';

withLayout();
withTexts();

const DEFAULTS = { raw: { from: 'now-1h', to: 'now' }, refresh: '' };
function Bar() {
  const time = useUrlTime(DEFAULTS);
  return (
    <main>
      <TimeBar time={time} />
      <output>{`${time.refresh} ${time.zone} ${time.compare}`}</output>
    </main>
  );
}
const show = (at = '/') => mount({ '/': Bar }, at);
const press = (name: string | RegExp) => fireEvent.click(screen.getByRole('button', { name }));
const pick = async () => {
  press(/^Time range: /);
  const field = await screen.findByPlaceholderText(/last 3 days/);
  return field.closest('[role="dialog"]') as HTMLElement;
};
const FIXED = { from: '1795516320000', to: '1795519920000' };
const AT = `/?from=${FIXED.from}&to=${FIXED.to}`;

beforeEach(() => {
  withSockets();
  lockRange(null);
});

describe('the time bar', () => {
  it('moves by half the span and widens about the middle', async () => {
    const page = await show(AT);
    press('Move back half the range');
    await waitFor(() => expect(page.search()).toMatchObject({ from: '1795514520000', to: '1795518120000' }));
    press('Move forward half the range');
    await waitFor(() => expect(page.search()).toMatchObject(FIXED));
    press(/zoom out/i);
    await waitFor(() => expect(page.search()).toMatchObject({ from: '1795514520000', to: '1795521720000' }));
  });

  it('obeys its keys', async () => {
    const page = await show(AT);
    const key = (...names: string[]) => {
      for (const name of names) fireEvent.keyDown(document.body, { key: name });
    };
    key('t', '+');
    await waitFor(() => expect(page.search()).toMatchObject({ from: '1795517220000', to: '1795519020000' }));
    key('t', '-');
    await waitFor(() => expect(page.search()).toMatchObject(FIXED));
    const copied = withClipboard();
    key('t', 's');
    await waitFor(() => expect(copied[0]).toContain(`from=${FIXED.from}`));
    key('t', 'o');
    expect(await screen.findByLabelText('From')).toBeTruthy();
  });

  it('takes a quick range, words, and exact ends', async () => {
    const page = await show(AT);
    let box = await pick();
    fireEvent.click(within(box).getByRole('button', { name: 'Last 6 hours' }));
    await waitFor(() => expect(page.search()).toMatchObject({ from: 'now-6h', to: 'now' }));

    box = await pick();
    const free = within(box).getByPlaceholderText(/last 3 days/) as HTMLInputElement;
    fireEvent.change(free, { target: { value: 'complete nonsense' } });
    expect(within(box).getByText('This is no time we know.')).toBeTruthy();
    fireEvent.change(free, { target: { value: 'last 3 days' } });
    fireEvent.submit(free.closest('form') as HTMLFormElement);
    await waitFor(() => expect(page.search()).toMatchObject({ from: 'now-3d', to: 'now' }));

    box = await pick();
    fireEvent.change(within(box).getByLabelText('From'), { target: { value: '2026-11-24 10:00:00' } });
    fireEvent.change(within(box).getByLabelText('To'), { target: { value: '2026-11-24 09:00:00' } });
    const apply = within(box).getByRole('button', { name: 'Apply' }) as HTMLButtonElement;
    expect(apply.disabled).toBe(true);
    fireEvent.change(within(box).getByLabelText('To'), { target: { value: '2026-11-24 11:00:00' } });
    expect(apply.disabled).toBe(false);
    fireEvent.submit(apply.closest('form') as HTMLFormElement);
    await waitFor(() =>
      expect(page.search()).toMatchObject({
        from: String(Date.UTC(2026, 10, 24, 10)),
        to: String(Date.UTC(2026, 10, 24, 11)),
      }),
    );
    // What was used is one click away.
    box = await pick();
    expect(within(box).getByText('Recently used')).toBeTruthy();
  });

  it('takes a range from the clipboard and gives it', async () => {
    const copied = withClipboard('{"from":"now-2d","to":"now"}');
    const page = await show(AT);
    const box = await pick();
    fireEvent.click(within(box).getByRole('button', { name: 'Copy the range' }));
    await waitFor(() => expect(JSON.parse(copied[0] ?? '')).toEqual(FIXED));
    fireEvent.click(within(box).getByRole('button', { name: 'Paste a range' }));
    await waitFor(() => expect(page.search()).toMatchObject({ from: 'now-2d', to: 'now' }));
  });

  it('is locked for other pages, and let go', async () => {
    await show(AT);
    press('Keep this range on other pages');
    expect(timeLock.get()).toEqual(FIXED);
    press('Keep this range on other pages');
    expect(timeLock.get()).toBeNull();
  });

  it('refreshes as chosen; live needs a range that ends now', async () => {
    const page = await show(AT);
    press('Refresh: Off');
    fireEvent.click(await screen.findByRole('button', { name: '30s' }));
    await waitFor(() => expect(page.search().refresh).toBe('30s'));
    press('Refresh: 30s');
    fireEvent.click(await screen.findByRole('button', { name: 'Live' }));
    await waitFor(() => expect(page.search()).toMatchObject({ from: 'now-1h', to: 'now', refresh: 'live' }));
    expect(screen.queryByRole('button', { name: 'Refresh now' })).toBeNull();
  });

  it('says what of a link it could not understand', async () => {
    await show('/?from=soon&to=now&timezone=Mars/Olympus&refresh=often&compare=x');
    expect(screen.getAllByRole('status').filter((e) => e.tagName !== 'OUTPUT')).toHaveLength(4);
    await waitFor(() => expect(screen.getByText(/utc/, { selector: 'output' })).toBeTruthy());
  });
});
