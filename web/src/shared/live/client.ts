// SPDX-License-Identifier: Apache-2.0
// One socket per tab. Reconnects with jitter, asks again for what was subscribed, and knows how old its data is.
import { socketUrl } from '../api/socket';
import { createStore } from '../store';
import { decodeFrame, type SeriesFrame, type ServerMessage, SUBPROTOCOL } from './protocol';

export interface SubscriptionHandler {
  args: () => { expr: string; step: number; from: number };
  onSchema: (series: { labels: Record<string, string> }[], reset: boolean) => void;
  onFrame: (frame: SeriesFrame) => void;
  onError: (code: string, message: string, retryable: boolean) => void;
}

export interface LiveStatus {
  state: 'idle' | 'connecting' | 'open' | 'waiting';
  /** Client clock at the last heartbeat or frame; 0 before the first. */
  lastSeenMs: number;
}

export const liveStatus = createStore<LiveStatus>({ state: 'idle', lastSeenMs: 0 });
export const STALE_AFTER_MS = 10_000;
const CREDIT = 256;
const RETRY_MS = 3000;

class LiveClient {
  private socket: WebSocket | null = null;
  private nextId = 1;
  private readonly subs = new Map<number, SubscriptionHandler>();
  private readonly used = new Map<number, number>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setInterval> | undefined;
  private idle: ReturnType<typeof setTimeout> | undefined;
  private attempts = 0;

  subscribe(handler: SubscriptionHandler): () => void {
    const id = this.nextId++;
    this.subs.set(id, handler);
    clearTimeout(this.idle);
    if (this.socket?.readyState === WebSocket.OPEN) this.send(id, handler);
    else this.connect();
    return () => {
      this.subs.delete(id);
      this.used.delete(id);
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ op: 'unsub', id }));
      // A page change drops and takes subscriptions within moments: keep the socket for it.
      if (this.subs.size === 0) this.idle = setTimeout(() => this.close(), 5000);
    };
  }

  private send(id: number, handler: SubscriptionHandler): void {
    this.used.set(id, 0);
    this.socket?.send(JSON.stringify({ op: 'sub', id, kind: 'series', args: handler.args() }));
  }

  private connect(): void {
    if (this.socket || this.timer !== undefined) return;
    const socket = new WebSocket(socketUrl('/api/live/v1/ws'), SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    liveStatus.set((s) => ({ ...s, state: 'connecting' }));
    socket.onopen = () => {
      this.attempts = 0;
      this.seen('open');
      for (const [id, handler] of this.subs) this.send(id, handler);
      clearInterval(this.watchdog);
      this.watchdog = setInterval(() => this.watch(), 2000);
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.receive(event.data);
    socket.onclose = () => this.lost(socket);
  }

  private seen(state: LiveStatus['state'] = 'open'): void {
    liveStatus.set({ state, lastSeenMs: Date.now() });
  }

  /** A half-open connection never closes by itself: no heartbeat for long means start over. */
  private watch(): void {
    if (Date.now() - liveStatus.get().lastSeenMs > STALE_AFTER_MS + 5000) this.socket?.close();
  }

  private lost(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.socket = null;
    clearInterval(this.watchdog);
    if (this.subs.size === 0) {
      liveStatus.set((s) => ({ ...s, state: 'idle' }));
      return;
    }
    this.attempts += 1;
    const pause = 200 + Math.random() * Math.min(4800, 500 * 2 ** this.attempts);
    liveStatus.set((s) => ({ ...s, state: 'waiting' }));
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.subs.size > 0) this.connect();
    }, pause);
  }

  private close(): void {
    this.socket?.close();
  }

  private receive(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      this.seen();
      const frame = decodeFrame(data);
      const handler = this.subs.get(frame.sub);
      if (!handler) return;
      handler.onFrame(frame);
      this.grant(frame.sub);
      return;
    }
    const message = JSON.parse(data) as ServerMessage;
    switch (message.op) {
      case 'hb':
        this.seen();
        break;
      case 'ok':
        this.subs.get(message.id)?.onSchema(message.schema?.series ?? [], true);
        // Switches flow control on: from here the server sends as much as was granted.
        this.socket?.send(JSON.stringify({ op: 'credit', id: message.id, n: CREDIT }));
        this.used.set(message.id, 0);
        break;
      case 'schema':
        this.subs.get(message.id)?.onSchema(message.series, false);
        break;
      case 'gap': {
        // Steps were dropped for us: ask again from where our own data ends.
        const handler = this.subs.get(message.id);
        if (handler) this.send(message.id, handler);
        break;
      }
      case 'err':
        if (message.id !== undefined)
          this.failed(message.id, message.code, message.message, message.retryable ?? false);
        break;
      default:
        break;
    }
  }

  private failed(id: number, code: string, message: string, retryable: boolean): void {
    const handler = this.subs.get(id);
    if (!handler) return;
    handler.onError(code, message, retryable);
    if (retryable)
      setTimeout(() => {
        if (this.subs.get(id) === handler && this.socket?.readyState === WebSocket.OPEN) this.send(id, handler);
      }, RETRY_MS);
  }

  private grant(id: number): void {
    const used = (this.used.get(id) ?? 0) + 1;
    if (used >= CREDIT / 2) {
      this.socket?.send(JSON.stringify({ op: 'credit', id, n: used }));
      this.used.set(id, 0);
    } else this.used.set(id, used);
  }
}

export const live = new LiveClient();
