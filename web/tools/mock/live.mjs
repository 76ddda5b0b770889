// SPDX-License-Identifier: Apache-2.0
// Development only: a WebSocket endpoint of the live protocol, fed by range queries against the mock's Prometheus.
import { createHash } from 'node:crypto';
import { encodeFrame } from '../../src/shared/live/protocol.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function frame(opcode, payload) {
  const n = payload.length;
  const head = n < 126 ? Buffer.from([0x80 | opcode, n]) : n < 65536 ? Buffer.alloc(4) : Buffer.alloc(10);
  if (n >= 126) {
    head[0] = 0x80 | opcode;
    if (n < 65536) {
      head[1] = 126;
      head.writeUInt16BE(n, 2);
    } else {
      head[1] = 127;
      head.writeBigUInt64BE(BigInt(n), 2);
    }
  }
  return Buffer.concat([head, payload]);
}

/** Yields {opcode, payload} of complete client frames; the mock's clients never fragment. */
function* unframe(state) {
  for (;;) {
    const b = state.buffer;
    if (b.length < 2) return;
    let n = b[1] & 127;
    let at = 2;
    if (n === 126) {
      if (b.length < 4) return;
      n = b.readUInt16BE(2);
      at = 4;
    } else if (n === 127) {
      if (b.length < 10) return;
      n = Number(b.readBigUInt64BE(2));
      at = 10;
    }
    if (b.length < at + 4 + n) return;
    const mask = b.subarray(at, at + 4);
    const payload = Buffer.from(b.subarray(at + 4, at + 4 + n));
    for (let i = 0; i < n; i++) payload[i] ^= mask[i % 4];
    state.buffer = b.subarray(at + 4 + n);
    yield { opcode: b[0] & 15, payload };
  }
}

async function evaluate(prom, expr, from, to, step) {
  const body = new URLSearchParams({ query: expr, start: from / 1000, end: to / 1000, step: step / 1000 });
  const response = await fetch(`${prom}/api/v1/query_range`, { method: 'POST', body });
  const json = await response.json();
  if (json.status !== 'success') throw new Error(json.error);
  return json.data.result;
}

class Subscription {
  constructor(id, args, send, prom) {
    Object.assign(this, {
      id,
      send,
      prom,
      seq: 0,
      index: new Map(),
      next: Math.floor(args.from / args.step) * args.step,
    });
    this.expr = args.expr;
    this.step = args.step;
    this.first = true;
    this.busy = false;
  }

  async advance() {
    const to = Math.floor((Date.now() - 1200) / this.step) * this.step;
    if (this.busy || to < this.next) return;
    this.busy = true;
    try {
      const result = await evaluate(this.prom, this.expr, this.next, to, this.step);
      const fresh = result.filter((r) => !this.index.has(JSON.stringify(r.metric)));
      for (const r of fresh) this.index.set(JSON.stringify(r.metric), this.index.size);
      const series = fresh.map((r) => ({ labels: r.metric }));
      if (this.first) this.send({ op: 'ok', id: this.id, epoch: 'mock', seq: 0, schema: { series } });
      else if (series.length > 0) this.send({ op: 'schema', id: this.id, series });
      this.first = false;
      const nSteps = (to - this.next) / this.step + 1;
      const indices = result.map((r) => this.index.get(JSON.stringify(r.metric)));
      const values = new Array(nSteps * result.length).fill(Number.NaN);
      result.forEach((r, s) => {
        for (const [t, v] of r.values) values[s * nSteps + Math.round((t * 1000 - this.next) / this.step)] = Number(v);
      });
      this.send(
        encodeFrame({ sub: this.id, seq: ++this.seq, t0: this.next, step: this.step, nSteps, indices, values }),
      );
      this.next = to + this.step;
    } catch (error) {
      if (this.first)
        this.send({ op: 'err', id: this.id, code: 'bad_data', message: String(error.message), retryable: true });
    } finally {
      this.busy = false;
    }
  }
}

export function createLive(server, path, prom, empty) {
  server.on('upgrade', (request, socket) => {
    if (new URL(request.url, 'http://x').pathname !== path) return socket.destroy();
    const accept = createHash('sha1')
      .update(request.headers['sec-websocket-key'] + GUID)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: tocayo.live.v1\r\n\r\n`,
    );
    const state = { buffer: Buffer.alloc(0) };
    const subs = new Map();
    const send = (m) =>
      socket.write(m instanceof ArrayBuffer ? frame(2, Buffer.from(m)) : frame(1, Buffer.from(JSON.stringify(m))));
    const beat = setInterval(() => send({ op: 'hb', t: Date.now() }), 2000);
    const tick = setInterval(() => {
      if (!empty) for (const sub of subs.values()) void sub.advance();
    }, 250);
    const end = () => {
      clearInterval(beat);
      clearInterval(tick);
    };
    socket.on('close', end);
    socket.on('error', end);
    socket.on('data', (chunk) => {
      state.buffer = Buffer.concat([state.buffer, chunk]);
      for (const { opcode, payload } of unframe(state)) {
        if (opcode === 8) socket.end(frame(8, payload));
        if (opcode !== 1) continue;
        const message = JSON.parse(payload.toString());
        if (message.op === 'sub') subs.set(message.id, new Subscription(message.id, message.args, send, prom));
        if (message.op === 'unsub') subs.delete(message.id);
      }
    });
  });
}
