// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { rowsOf } from './height';

describe('rows of a line', () => {
  it('are as many as its characters fill', () => {
    expect(rowsOf('', 10)).toBe(1);
    expect(rowsOf('a'.repeat(10), 10)).toBe(1);
    expect(rowsOf('a'.repeat(11), 10)).toBe(2);
    expect(rowsOf('a b '.repeat(10), 10)).toBe(4);
    expect(rowsOf('a'.repeat(1000), Number.POSITIVE_INFINITY)).toBe(1);
  });

  it('begin anew at a line break, but not after the last one', () => {
    expect(rowsOf('a\nb', 10)).toBe(2);
    expect(rowsOf('a\n\nb\n', 10)).toBe(3);
    expect(rowsOf(`${'a'.repeat(15)}\n${'b'.repeat(25)}`, 10)).toBe(5);
    expect(rowsOf('a\nb', Number.POSITIVE_INFINITY)).toBe(2);
  });

  it('count a tab to the next stop, and no colours of terminals', () => {
    expect(rowsOf('\ta\tb', 10)).toBe(1);
    expect(rowsOf('\ta\tbcd', 10)).toBe(2);
    expect(rowsOf('\u001b[31mred\u001b[0m text', 8)).toBe(1);
  });
});
