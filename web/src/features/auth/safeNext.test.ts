// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { safeNext } from './safeNext';

it('never leaves the site after signing in', () => {
  for (const bad of ['https://evil.example', '//evil.example', '/\\evil.example', 'x', null])
    expect(safeNext(bad)).toBe('/');
  expect(safeNext('/admin/users?x=1')).toBe('/admin/users?x=1');
});
