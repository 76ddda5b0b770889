// SPDX-License-Identifier: Apache-2.0
import { fireEvent, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { dropDraft, readDraft, useDraft, writeDraft } from './drafts';
import { forgetState, lastKnownState, rememberState } from './lastKnown';
import { mount, withTexts } from './testing/mount';
import { copyText } from './ui/clipboard';
import { DraftNotice } from './ui/DraftNotice';

withTexts();

/** As much of IndexedDB as the drafts use. */
function fakeDatabase() {
  const kept = new Map<string, unknown>();
  const answer = <T,>(result: T) => {
    const request = { result, onsuccess: null as (() => void) | null, onerror: null };
    queueMicrotask(() => request.onsuccess?.());
    return request;
  };
  const store = {
    get: (key: string) => answer(kept.get(key)),
    put: (value: unknown, key: string) => answer(kept.set(key, structuredClone(value))),
    delete: (key: string) => answer(kept.delete(key)),
  };
  const db = { createObjectStore: vi.fn(), transaction: () => ({ objectStore: () => store }), close: vi.fn() };
  vi.stubGlobal('indexedDB', {
    open: () => {
      const request = { ...answer(db), onupgradeneeded: null as (() => void) | null };
      queueMicrotask(() => {
        request.onupgradeneeded?.();
        (request as unknown as { onsuccess: () => void }).onsuccess?.();
      });
      return request;
    },
  });
  return kept;
}

function Form() {
  const draft = useDraft('form', { name: '', colour: 'red' });
  return (
    <>
      <DraftNotice draft={draft} />
      <input
        aria-label="name"
        value={draft.value.name}
        onChange={(event) => draft.set({ name: event.currentTarget.value })}
      />
      <output>{draft.value.colour}</output>
    </>
  );
}
const field = () => screen.getByLabelText('name') as HTMLInputElement;

describe('drafts', () => {
  let kept: Map<string, unknown>;
  beforeEach(() => {
    kept = fakeDatabase();
  });

  it('keep what was typed for a week, per person and tenant', async () => {
    await writeDraft('x', { a: 1 }, 1000);
    expect([...kept.keys()]).toEqual(['0/anonymous/x']);
    expect(await readDraft('x', 2000)).toEqual({ a: 1 });
    expect(await readDraft('x', 1000 + 8 * 86_400_000)).toBeUndefined();
    expect(kept.size).toBe(0);
    await writeDraft('x', 1);
    await dropDraft('x');
    expect(await readDraft('x')).toBeUndefined();
  });

  it('come back into the form, without fields that it no longer has, until they are dropped', async () => {
    await writeDraft('form', { name: 'half a na', gone: true });
    await mount({ '/': Form });
    await waitFor(() => expect(field().value).toBe('half a na'));
    expect(screen.getByText('red')).toBeTruthy();
    fireEvent.click(screen.getByRole('button'));
    await waitFor(() => expect(field().value).toBe(''));
    await waitFor(() => expect(kept.size).toBe(0));
    expect(screen.queryByRole('button')).toBeNull();
  });

  it('do not overwrite what is being typed, and go on without storage', async () => {
    vi.stubGlobal('indexedDB', {
      open: () => {
        throw new Error('private mode');
      },
    });
    await mount({ '/': Form });
    fireEvent.change(field(), { target: { value: 'mine' } });
    expect(field().value).toBe('mine');
    vi.stubGlobal('indexedDB', undefined);
    expect(await readDraft('form')).toBeUndefined();
  });
});

describe('what was wrong when it was last seen', () => {
  it('is kept short, and forgotten on the way out', () => {
    const wrong = Array.from({ length: 50 }, (_, i) => ({ level: 'warning', what: `w${i}`, why: '' }));
    rememberState({ atMs: 5, wrong });
    expect(lastKnownState()?.wrong).toHaveLength(20);
    localStorage.setItem('tocayo.last-known', '{"atMs":"x"}');
    expect(lastKnownState()).toBeNull();
    localStorage.setItem('tocayo.last-known', '{');
    expect(lastKnownState()).toBeNull();
    forgetState();
    expect(lastKnownState()).toBeNull();
  });

  it('needs no storage', () => {
    const broken = () => {
      throw new Error('private mode');
    };
    vi.spyOn(Storage.prototype, 'setItem').mockImplementation(broken);
    vi.spyOn(Storage.prototype, 'removeItem').mockImplementation(broken);
    expect(() => rememberState({ atMs: 5, wrong: [] })).not.toThrow();
    expect(() => forgetState()).not.toThrow();
  });
});

describe('copying', () => {
  it('works where browsers hide the clipboard', async () => {
    Object.defineProperty(window, 'isSecureContext', { configurable: true, value: false });
    let selected = '';
    document.execCommand = (() => {
      selected = document.querySelector('textarea')?.value ?? '';
      return true;
    }) as never;
    await copyText('a\nb');
    expect(selected).toBe('a\nb');
    expect(document.querySelector('textarea')).toBeNull();
  });
});
