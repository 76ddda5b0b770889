// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame, FrameError, HEADER_BYTES } from './protocol';

describe('binary series frame', () => {
  it('comes back as it went', () => {
    const frame = decodeFrame(
      encodeFrame({
        sub: 7,
        seq: 42,
        t0: 1_795_516_325_000,
        step: 1000,
        nSteps: 3,
        indices: [0, 2],
        values: [1, 2, Number.NaN, -4.5, 5, 6],
      }),
    );
    expect(frame.sub).toBe(7);
    expect(frame.seq).toBe(42);
    expect([...frame.times]).toEqual([1_795_516_325_000, 1_795_516_326_000, 1_795_516_327_000]);
    expect([...frame.indices]).toEqual([0, 2]);
    expect([...frame.values]).toEqual([1, 2, Number.NaN, -4.5, 5, 6]);
  });

  it('reads explicit times when step is 0', () => {
    const buffer = new ArrayBuffer(HEADER_BYTES + 2 * 8 + 4 + 2 * 8);
    const view = new DataView(buffer);
    view.setUint8(0, 1);
    view.setUint8(1, 1);
    view.setUint32(32, 2, true);
    view.setUint32(36, 1, true);
    view.setBigInt64(40, 1000n, true);
    view.setBigInt64(48, 1750n, true);
    view.setUint32(56, 3, true);
    view.setFloat64(60, 0.5, true);
    view.setFloat64(68, 0.25, true);
    const frame = decodeFrame(buffer);
    expect([...frame.times]).toEqual([1000, 1750]);
    expect([...frame.indices]).toEqual([3]);
    expect([...frame.values]).toEqual([0.5, 0.25]);
  });

  it('refuses frames of the wrong size, version or type', () => {
    const good = encodeFrame({ sub: 1, seq: 1, t0: 0, step: 1000, nSteps: 1, indices: [0], values: [1] });
    expect(() => decodeFrame(good.slice(0, 12))).toThrow(FrameError);
    expect(() => decodeFrame(good.slice(0, good.byteLength - 1))).toThrow(FrameError);
    const version = good.slice(0);
    new DataView(version).setUint8(0, 9);
    expect(() => decodeFrame(version)).toThrow(FrameError);
    const type = good.slice(0);
    new DataView(type).setUint8(1, 9);
    expect(() => decodeFrame(type)).toThrow(FrameError);
  });
});
