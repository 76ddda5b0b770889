// SPDX-License-Identifier: Apache-2.0
import { fireEvent, screen, waitFor } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { boot } from '@/shared/api/boot';
import { rememberState } from '@/shared/lastKnown';
import { prefs } from '@/shared/prefs';
import { withLayout } from '@/shared/testing/dom';
import { mount, withTexts } from '@/shared/testing/mount';
import { FakeServer, refusal } from '@/shared/testing/server';
import { ProfilePage } from './ProfilePage';

withLayout();
withTexts('profile');

let server: FakeServer;
const before = prefs.get();
beforeEach(() => {
  server = new FakeServer().start();
  server.on('GET /api/ui/me', {}).on('PUT /api/ui/me', undefined);
});
afterEach(() => {
  boot.user = null;
  prefs.set({ ...before, language: 'en', timezone: 'utc' });
});

const signedIn = () => {
  boot.user = { id: 1, login: 'ana', name: 'Ana', role: 'admin', instanceAdmin: true };
};
const kept = () => JSON.parse(localStorage.getItem('tocayo.prefs') ?? '{}') as Record<string, unknown>;
const type = (label: string, text: string) =>
  fireEvent.change(screen.getByLabelText(label, { selector: 'input' }), { target: { value: text } });

describe('what a person chooses', () => {
  it('stays in this browser while nobody is signed in', async () => {
    await mount({ '/': ProfilePage });
    fireEvent.click(screen.getByLabelText('Light'));
    fireEvent.click(screen.getByLabelText('Cosy'));
    fireEvent.click(screen.getByLabelText('12 hours'));
    fireEvent.click(screen.getByLabelText('Sunday'));
    fireEvent.click(screen.getByRole('switch'));
    expect(kept()).toMatchObject({ theme: 'light', density: 'cosy', hour12: true, weekStart: 0, singleKeys: false });
    expect(screen.getByText(/Shown as .*9:05:09\sPM/i)).toBeTruthy();
    expect(screen.getByText(/kept in this browser only/)).toBeTruthy();
    expect(server.asked).toHaveLength(0);
  });

  it('is sent to the server when somebody is, except what belongs to this keyboard', async () => {
    signedIn();
    await mount({ '/': ProfilePage });
    fireEvent.click(screen.getByLabelText('Dark'));
    fireEvent.click(screen.getByRole('switch'));
    await waitFor(() => expect(server.to('PUT /api/ui/me').map((a) => a.json)).toEqual([{ theme: 'dark' }]));
  });

  it('made on another machine wins over what this browser kept', async () => {
    signedIn();
    server.on('GET /api/ui/me', { theme: 'contrast', timezone: 'Asia/Tokyo', weekStart: 6 });
    await mount({ '/': ProfilePage });
    await waitFor(() => expect(prefs.get()).toMatchObject({ theme: 'contrast', timezone: 'Asia/Tokyo', weekStart: 6 }));
    expect((screen.getByLabelText('Saturday') as HTMLInputElement).checked).toBe(true);
  });

  it('changes the language at once', async () => {
    await mount({ '/': ProfilePage });
    fireEvent.click(screen.getByLabelText('Español'));
    expect(await screen.findByText('Perfil')).toBeTruthy();
    fireEvent.click(screen.getByLabelText('English'));
    expect(await screen.findByText('Profile')).toBeTruthy();
  });
});

describe('the account', () => {
  it('takes a name, and tells why not', async () => {
    signedIn();
    const answers: unknown[] = [undefined, undefined];
    server.on('PUT /api/ui/me', () => answers.shift() ?? undefined);
    await mount({ '/': ProfilePage });
    type('Name', 'Ana María');
    fireEvent.submit(screen.getByLabelText('Name', { selector: 'input' }).closest('form') as HTMLFormElement);
    expect(await screen.findByRole('button', { name: 'Saved' })).toBeTruthy();
    expect(server.to('PUT /api/ui/me').at(-1)?.json).toEqual({ name: 'Ana María' });
  });

  it('changes the password only with the current one', async () => {
    signedIn();
    const answers = [refusal(403, 'forbidden', 'the current password is wrong'), Response.json({})];
    server.on('POST /api/ui/me/password', () => answers.shift());
    await mount({ '/': ProfilePage });
    const change = screen.getByRole('button', { name: 'Change password' }) as HTMLButtonElement;
    type('Current password', 'old');
    type('New password, at least 10 characters', 'too short');
    expect(change.disabled).toBe(true);
    type('New password, at least 10 characters', 'long enough');
    expect(change.disabled).toBe(false);
    fireEvent.submit(change.closest('form') as HTMLFormElement);
    expect(await screen.findByText('the current password is wrong')).toBeTruthy();
    fireEvent.submit(change.closest('form') as HTMLFormElement);
    expect(await screen.findByText('The password is changed.')).toBeTruthy();
    expect(server.to('POST /api/ui/me/password')[0]?.json).toEqual({ current: 'old', new: 'long enough' });
    expect((screen.getByLabelText('Current password', { selector: 'input' }) as HTMLInputElement).value).toBe('');
  });

  it('leaves nothing behind when it signs out, also when the server is away', async () => {
    signedIn();
    const went: string[] = [];
    vi.spyOn(location, 'assign').mockImplementation((to) => void went.push(String(to)));
    rememberState({ atMs: 1, wrong: [] });
    server.on('POST /api/ui/logout', () => refusal(500, 'internal', 'no'));
    await mount({ '/': ProfilePage });
    fireEvent.click(screen.getByRole('button', { name: 'Sign out' }));
    await waitFor(() => expect(went).toEqual(['/login']));
    expect(localStorage.getItem('tocayo.last-known')).toBeNull();
  });
});
