// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodeFrame } from './protocol';

class FakeSocket {
  static all: FakeSocket[] = [];
  static readonly OPEN = 1;
  readyState = 0;
  binaryType = '';
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  constructor(
    readonly url: URL | string,
    readonly protocol: string,
  ) {
    FakeSocket.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
    this.onclose?.();
  }
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  say(message: object | ArrayBuffer) {
    this.onmessage?.({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }
}

const handler = () => ({
  args: vi.fn(() => ({ expr: 'up', step: 1000, from: 5000 })),
  onSchema: vi.fn(),
  onFrame: vi.fn(),
  onError: vi.fn(),
});

describe('live client', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.resetModules();
    FakeSocket.all = [];
    vi.stubGlobal('WebSocket', FakeSocket);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  const start = async () => {
    const { live, liveStatus } = await import('./client');
    const one = handler();
    const stop = live.subscribe(one);
    const socket = FakeSocket.all[0] as FakeSocket;
    socket.open();
    return { live, liveStatus, one, stop, socket };
  };
  const frame = (sub: number) =>
    encodeFrame({ sub, seq: 1, t0: 5000, step: 1000, nSteps: 1, indices: [0], values: [1] });

  it('opens one socket, subscribes, grants credit, and hands frames on', async () => {
    const { live, one, socket } = await start();
    live.subscribe(handler());
    expect(FakeSocket.all).toHaveLength(1);
    expect(socket.protocol).toBe('tocayo.live.v1');
    expect(socket.sent[0]).toEqual({ op: 'sub', id: 1, kind: 'series', args: { expr: 'up', step: 1000, from: 5000 } });
    socket.say({ op: 'ok', id: 1, epoch: 'e', seq: 0, schema: { series: [{ labels: { a: '1' } }] } });
    expect(one.onSchema).toHaveBeenCalledWith([{ labels: { a: '1' } }], true);
    expect(socket.sent.at(-1)).toEqual({ op: 'credit', id: 1, n: 256 });
    for (let k = 0; k < 128; k++) socket.say(frame(1));
    expect(one.onFrame).toHaveBeenCalledTimes(128);
    expect(socket.sent.at(-1)).toEqual({ op: 'credit', id: 1, n: 128 });
  });

  it('comes back after a loss and asks again', async () => {
    const { liveStatus, socket } = await start();
    socket.close();
    expect(liveStatus.get().state).toBe('waiting');
    await vi.advanceTimersByTimeAsync(5200);
    const next = FakeSocket.all[1] as FakeSocket;
    next.open();
    expect(liveStatus.get().state).toBe('open');
    expect(next.sent[0]).toMatchObject({ op: 'sub', id: 1 });
  });

  it('gives up a connection on which nothing is heard', async () => {
    const { socket } = await start();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(socket.readyState).toBe(1);
    socket.say({ op: 'hb', t: 1 });
    await vi.advanceTimersByTimeAsync(14_000);
    expect(socket.readyState).toBe(1);
    await vi.advanceTimersByTimeAsync(6000);
    expect(socket.readyState).toBe(3);
  });

  it('repeats the subscription after a gap and after what may be retried, not after the rest', async () => {
    const { one, socket } = await start();
    const subs = () => socket.sent.filter((m) => m.op === 'sub').length;
    socket.say({ op: 'gap', id: 1, from: 1, to: 2 });
    expect(subs()).toBe(2);
    socket.say({ op: 'err', id: 1, code: 'bad_data', message: 'no', retryable: false });
    await vi.advanceTimersByTimeAsync(4000);
    expect(subs()).toBe(2);
    expect(one.onError).toHaveBeenCalledWith('bad_data', 'no', false);
    socket.say({ op: 'err', id: 1, code: 'timeout', message: 'slow', retryable: true });
    await vi.advanceTimersByTimeAsync(4000);
    expect(subs()).toBe(3);
  });

  it('says goodbye and closes when nobody listens any more', async () => {
    const { stop, socket, liveStatus } = await start();
    stop();
    expect(socket.sent.at(-1)).toEqual({ op: 'unsub', id: 1 });
    await vi.advanceTimersByTimeAsync(5100);
    expect(socket.readyState).toBe(3);
    expect(liveStatus.get().state).toBe('idle');
  });
});
