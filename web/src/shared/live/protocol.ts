// SPDX-License-Identifier: Apache-2.0
// `tocayo.live.v1`: JSON control frames, binary series frames (little-endian).
//   u8 version, u8 type, u16 flags, u32 sub, u64 seq, i64 t0, i64 step, u32 nSteps, u32 nSeries,
//   [step = 0: nSteps × i64 times], nSeries × u32 index, then per series nSteps × f64.
import type { Labels } from '../api/prom';

export const SUBPROTOCOL = 'tocayo.live.v1';
export const HEADER_BYTES = 40;
export const TYPE_SERIES = 1;
export const FLAG_CORRECTION = 1;

export interface LiveSchema {
  series: { labels: Labels }[];
}

export type ServerMessage =
  | { op: 'ok'; id: number; epoch: string; seq: number; schema?: LiveSchema }
  | { op: 'schema'; id: number; series: { labels: Labels }[] }
  | { op: 'err'; id?: number; code: string; message: string; retryable?: boolean }
  | { op: 'gap'; id: number; from: number; to: number }
  | { op: 'lag'; id: number; dropped: number }
  | { op: 'bye'; reason?: string }
  | { op: 'hb'; t: number }
  | { op: 'pong' };

export interface SeriesFrame {
  sub: number;
  seq: number;
  correction: boolean;
  /** Milliseconds, one per step. */
  times: Float64Array;
  /** Positions in the subscription's schema. */
  indices: Uint32Array;
  /** values[s * times.length + k] is series s at step k; NaN where there is none. */
  values: Float64Array;
}

export class FrameError extends Error {}

export function decodeFrame(buffer: ArrayBuffer): SeriesFrame {
  if (buffer.byteLength < HEADER_BYTES) throw new FrameError('frame shorter than its header');
  const view = new DataView(buffer);
  const version = view.getUint8(0);
  if (version !== 1) throw new FrameError(`frame version ${version}`);
  if (view.getUint8(1) !== TYPE_SERIES) throw new FrameError(`frame type ${view.getUint8(1)}`);
  const flags = view.getUint16(2, true);
  const sub = view.getUint32(4, true);
  const seq = Number(view.getBigUint64(8, true));
  const t0 = Number(view.getBigInt64(16, true));
  const step = Number(view.getBigInt64(24, true));
  const nSteps = view.getUint32(32, true);
  const nSeries = view.getUint32(36, true);
  const timeBytes = step === 0 ? nSteps * 8 : 0;
  const expected = HEADER_BYTES + timeBytes + nSeries * 4 + nSteps * nSeries * 8;
  if (buffer.byteLength !== expected) throw new FrameError(`frame of ${buffer.byteLength} bytes, expected ${expected}`);
  const times = new Float64Array(nSteps);
  for (let k = 0; k < nSteps; k++)
    times[k] = step === 0 ? Number(view.getBigInt64(HEADER_BYTES + k * 8, true)) : t0 + k * step;
  let at = HEADER_BYTES + timeBytes;
  const indices = new Uint32Array(nSeries);
  for (let s = 0; s < nSeries; s++, at += 4) indices[s] = view.getUint32(at, true);
  const values = new Float64Array(nSteps * nSeries);
  for (let i = 0; i < values.length; i++, at += 8) values[i] = view.getFloat64(at, true);
  return { sub, seq, correction: (flags & FLAG_CORRECTION) !== 0, times, indices, values };
}

export function encodeFrame(frame: {
  sub: number;
  seq: number;
  t0: number;
  step: number;
  nSteps: number;
  indices: readonly number[];
  values: readonly number[];
}): ArrayBuffer {
  const { indices, values, nSteps } = frame;
  const buffer = new ArrayBuffer(HEADER_BYTES + indices.length * 4 + values.length * 8);
  const view = new DataView(buffer);
  view.setUint8(0, 1);
  view.setUint8(1, TYPE_SERIES);
  view.setUint16(2, 0, true);
  view.setUint32(4, frame.sub, true);
  view.setBigUint64(8, BigInt(frame.seq), true);
  view.setBigInt64(16, BigInt(frame.t0), true);
  view.setBigInt64(24, BigInt(frame.step), true);
  view.setUint32(32, nSteps, true);
  view.setUint32(36, indices.length, true);
  let at = HEADER_BYTES;
  for (const index of indices) {
    view.setUint32(at, index, true);
    at += 4;
  }
  for (const value of values) {
    view.setFloat64(at, value, true);
    at += 8;
  }
  return buffer;
}
