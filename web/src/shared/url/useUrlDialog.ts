// SPDX-License-Identifier: Apache-2.0
import { useNavigate, useSearch } from '@tanstack/react-router';
import { text } from './search';

/** An open dialog is part of the address (`?edit=new`): a link, a reload and signing in again lead back to it. */
export function useUrlDialog(name: string): [string | undefined, (value: string) => void, () => void] {
  const search = useSearch({ strict: false }) as Record<string, unknown>;
  const navigate = useNavigate();
  const go = (value: string | undefined, replace: boolean) =>
    void navigate({ to: '.', replace, search: ((previous: object) => ({ ...previous, [name]: value })) as never });
  return [text(search[name]), (value) => go(value, false), () => go(undefined, true)];
}
