// SPDX-License-Identifier: Apache-2.0
// What happy-dom has no layout and no canvas for: every element is 800 × 400 pixels, on the screen, and can be drawn on.
import { vi } from 'vitest';

export const WIDTH = 800;
export const HEIGHT = 400;

/** A 2D context that takes note of what is called and set. */
export class FakeContext {
  readonly calls: [string, ...unknown[]][] = [];
  readonly proxy: CanvasRenderingContext2D;

  constructor(canvas: unknown) {
    const own: Record<string, unknown> = { canvas };
    this.proxy = new Proxy(own, {
      get: (target, name: string) => {
        if (name in target) return target[name];
        return (...args: unknown[]) => {
          this.calls.push([name, ...args]);
          return name === 'measureText' ? { width: 8 * String(args[0]).length } : undefined;
        };
      },
      set: (target, name: string, value) => {
        target[name] = value;
        return true;
      },
    }) as unknown as CanvasRenderingContext2D;
  }

  count(name: string): number {
    return this.calls.filter(([call]) => call === name).length;
  }
}

const contexts = new WeakMap<object, FakeContext>();

export function contextOf(canvas: HTMLCanvasElement): FakeContext {
  const known = contexts.get(canvas) ?? new FakeContext(canvas);
  contexts.set(canvas, known);
  return known;
}

class Resized {
  private here = true;
  constructor(private readonly told: ResizeObserverCallback) {}
  observe(target: Element): void {
    const contentRect = { width: WIDTH, height: HEIGHT } as DOMRectReadOnly;
    const size = [{ inlineSize: WIDTH, blockSize: HEIGHT }];
    const entry = { target, contentRect, borderBoxSize: size, contentBoxSize: size } as unknown as ResizeObserverEntry;
    queueMicrotask(() => this.here && this.told([entry], this as unknown as ResizeObserver));
  }
  unobserve(): void {}
  disconnect(): void {
    this.here = false;
  }
}

class Seen {
  private here = true;
  constructor(private readonly told: IntersectionObserverCallback) {}
  observe(target: Element): void {
    const entry = { target, isIntersecting: true } as unknown as IntersectionObserverEntry;
    queueMicrotask(() => this.here && this.told([entry], this as unknown as IntersectionObserver));
  }
  unobserve(): void {}
  disconnect(): void {
    this.here = false;
  }
}

class FakePath {
  moveTo(): void {}
  lineTo(): void {}
  rect(): void {}
  arc(): void {}
  closePath(): void {}
  addPath(): void {}
}

/** For the whole test file. */
export function withLayout(): void {
  vi.stubGlobal('ResizeObserver', Resized);
  vi.stubGlobal('IntersectionObserver', Seen);
  vi.stubGlobal('Path2D', FakePath);
  const size = { offsetWidth: WIDTH, offsetHeight: HEIGHT, clientWidth: WIDTH, clientHeight: HEIGHT };
  for (const [name, value] of Object.entries(size))
    Object.defineProperty(HTMLElement.prototype, name, { configurable: true, get: () => value });
  const box = { x: 0, y: 0, left: 0, top: 0, right: WIDTH, bottom: HEIGHT, width: WIDTH, height: HEIGHT };
  Element.prototype.getBoundingClientRect = () => ({ ...box, toJSON: () => box }) as DOMRect;
  Element.prototype.scrollTo = () => undefined;
  Element.prototype.scrollIntoView = () => undefined;
  HTMLCanvasElement.prototype.getContext = function context(this: HTMLCanvasElement) {
    return contextOf(this).proxy;
  } as never;
}

/** A socket that a test answers. */
export class FakeSocket {
  static all: FakeSocket[] = [];
  static readonly OPEN = 1;
  readyState = 0;
  binaryType = '';
  readonly sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onclose: ((event: object) => void) | null = null;
  onerror: (() => void) | null = null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;

  constructor(
    readonly url: URL | string,
    readonly protocol?: string,
  ) {
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.readyState = 3;
    this.onclose?.({});
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(message: object | ArrayBuffer): void {
    this.onmessage?.({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }
}

/** Sockets of the page are answered by the test. */
export function withSockets(): void {
  FakeSocket.all = [];
  vi.stubGlobal('WebSocket', FakeSocket);
}

/** What the page copies, newest last; `holds` is what a person copied elsewhere. */
export function withClipboard(holds = ''): string[] {
  const copied: string[] = [];
  const value = { writeText: async (text: string) => void copied.push(text), readText: async () => holds };
  Object.defineProperty(navigator, 'clipboard', { configurable: true, value });
  Object.defineProperty(window, 'isSecureContext', { configurable: true, value: true });
  return copied;
}
