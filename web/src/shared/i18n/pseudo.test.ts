// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { pseudo, pseudoCatalogue } from './pseudo';

it('lengthens, accents and brackets, and leaves placeholders alone', () => {
  expect(pseudo('Time range: {{range}}')).toMatch(/^\[Ţímé řáñğé: \{\{range\}\} .+\]$/);
  for (const text of ['Save', 'Zoom out', 'Before the first sample: three ways to send one.'])
    expect(pseudo(text).length).toBeGreaterThanOrEqual(Math.floor(text.length * 1.4));
  expect(pseudo('{{title}}')).toBe('[{{title}}]');
  expect(pseudoCatalogue({ a: 'x' })).toEqual({ a: '[x ó]' });
});
