// SPDX-License-Identifier: Apache-2.0
import { fireEvent, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { prefs } from '@/shared/prefs';
import { mount, withTexts } from '@/shared/testing/mount';
import { FakeServer, refusal } from '@/shared/testing/server';
import { LoginPage } from './LoginPage';
import { SetupPage } from './SetupPage';

withTexts('auth');

let server: FakeServer;
let went: string[];
beforeEach(() => {
  server = new FakeServer().start();
  went = [];
  vi.spyOn(location, 'assign').mockImplementation((to) => void went.push(String(to)));
  history.replaceState(null, '', '/');
  prefs.set((p) => ({ ...p, language: 'en' }));
});

const type = (label: string, text: string) =>
  fireEvent.change(screen.getByLabelText(label, { selector: 'input' }), { target: { value: text } });
const submit = () => {
  const button = screen.getAllByRole('button').find((b) => b.getAttribute('type') === 'submit') as HTMLButtonElement;
  fireEvent.submit(button.closest('form') as HTMLFormElement);
  return button;
};

describe('signing in', () => {
  it('goes back to where a person was, on this server only', async () => {
    server.on('POST /api/ui/login', undefined);
    for (const [next, to] of [
      ['/explore?from=now-1h', '/explore?from=now-1h'],
      ['https://evil.example/', '/'],
      ['//evil.example/', '/'],
    ] as const) {
      history.replaceState(null, '', `/login?next=${encodeURIComponent(next)}`);
      const { container } = await mount({ '/': LoginPage });
      type('User name', 'ana');
      type('Password', 'x');
      submit();
      await waitFor(() => expect(went.at(-1)).toBe(to));
      container.remove();
      document.body.replaceChildren();
    }
    expect(server.to('POST /api/ui/login')[0]?.json).toEqual({ login: 'ana', password: 'x' });
  });

  it('says what is wrong without saying which of the two it was', async () => {
    const answers = [refusal(401, 'unauthorized', 'x'), refusal(429, 'limit', 'x'), refusal(500, 'internal', 'a disk')];
    server.on('POST /api/ui/login', () => answers.shift());
    await mount({ '/': LoginPage });
    type('User name', 'ana');
    type('Password', 'wrong');
    for (const said of ['Name or password is wrong.', /Too many tries/, 'a disk']) {
      submit();
      expect(await screen.findByText(said)).toBeTruthy();
      expect(went).toEqual([]);
    }
    expect((screen.getByLabelText('Password', { selector: 'input' }) as HTMLInputElement).value).toBe('wrong');
  });

  it('says that a session ended, and waits for both fields', async () => {
    history.replaceState(null, '', '/login?expired=1');
    await mount({ '/': LoginPage });
    expect(screen.getByText(/Your session has ended/)).toBeTruthy();
    expect((screen.getByRole('button', { name: 'Sign in' }) as HTMLButtonElement).disabled).toBe(true);
  });

  it('offers the other language before anybody is known', async () => {
    await mount({ '/': LoginPage });
    fireEvent.click(screen.getByRole('button', { name: 'Español' }));
    expect(await screen.findByRole('button', { name: 'Entrar' })).toBeTruthy();
  });
});

describe('set-up', () => {
  const fill = (password: string, again: string) => {
    type('Your name', 'Ana');
    type('User name', 'ana');
    type('Password', password);
    type('Password again', again);
  };

  it('makes the first administrator with the token of the link', async () => {
    server.on('POST /api/ui/setup', undefined);
    history.replaceState(null, '', '/setup?token=abc-1');
    await mount({ '/': SetupPage });
    fill('correct horse', 'correct horse');
    submit();
    await waitFor(() => expect(went).toEqual(['/login']));
    expect(server.to('POST /api/ui/setup')[0]?.json).toEqual({
      token: 'abc-1',
      login: 'ana',
      name: 'Ana',
      password: 'correct horse',
    });
  });

  it('refuses what is too short, differs or has no token', async () => {
    await mount({ '/': SetupPage });
    expect(screen.getByText('The link is incomplete')).toBeTruthy();
    fill('short', 'shore');
    expect(screen.getByText('Shorter than 10 characters')).toBeTruthy();
    expect(screen.getByText('The two passwords differ')).toBeTruthy();
    expect((screen.getByRole('button', { name: 'Create administrator' }) as HTMLButtonElement).disabled).toBe(true);
  });

  it('says that a link works once', async () => {
    const answers = [refusal(410, 'gone', 'x'), refusal(500, 'internal', 'a disk fell over')];
    server.on('POST /api/ui/setup', () => answers.shift());
    history.replaceState(null, '', '/setup?token=abc-1');
    await mount({ '/': SetupPage });
    fill('correct horse', 'correct horse');
    submit();
    expect(await screen.findByText(/The link was used already/)).toBeTruthy();
    submit();
    expect(await screen.findByText('a disk fell over')).toBeTruthy();
  });
});
