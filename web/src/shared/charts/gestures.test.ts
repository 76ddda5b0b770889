// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { attachGestures, type GestureTarget } from './gestures';

describe('gestures on a chart', () => {
  const box = { left: 10, top: 0, width: 100, height: 50 };
  let host: HTMLElement;
  let detach: () => void;
  let zoomable = true;
  const said: string[] = [];
  const target: GestureTarget = {
    view: () => ({ box, min: 0, max: 100_000 }),
    canZoom: () => zoomable,
    zoom: (r) => said.push(`zoom ${r.fromMs} ${r.toMs}`),
    zoomOut: () => said.push('out'),
    preview: (s) => said.push(`preview ${s ? `${Math.round(s.min)} ${Math.round(s.max)}` : 'none'}`),
    point: (at) => said.push(`point ${at ? `${at.x} ${at.y}` : 'none'}`),
    mark: (s) => said.push(`mark ${s ? s.map(Math.round).join(' ') : 'none'}`),
    pin: () => said.push('pin'),
  };
  const pointer = (type: string, x: number, init: PointerEventInit = {}, on: EventTarget = host) =>
    on.dispatchEvent(
      new PointerEvent(type, {
        clientX: x,
        clientY: 20,
        bubbles: true,
        cancelable: true,
        pointerType: 'mouse',
        ...init,
      }),
    );
  const touch = (type: string, ...xs: number[]) => {
    const event = new Event(type, { bubbles: true, cancelable: true });
    Object.defineProperty(event, 'touches', { value: xs.map((x) => ({ clientX: x, clientY: 20 })) });
    host.dispatchEvent(event);
  };

  beforeEach(() => {
    said.length = 0;
    zoomable = true;
    host = document.createElement('div');
    document.body.append(host);
    vi.spyOn(host, 'getBoundingClientRect').mockReturnValue({ left: 0, top: 0, width: 120, height: 60 } as DOMRect);
    detach = attachGestures(host, target);
  });
  afterEach(() => {
    detach();
    host.remove();
  });

  it('drags to a range, also beyond the edge, and lets Escape give up', () => {
    pointer('pointerdown', 30);
    pointer('pointermove', 31);
    pointer('pointermove', 60);
    pointer('pointerup', 500, {}, window);
    expect(said).toEqual(['mark 20000 50000', 'mark none', 'zoom 20000 100000']);
    said.length = 0;
    pointer('pointerdown', 30);
    pointer('pointermove', 60);
    window.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
    pointer('pointerup', 60, {}, window);
    expect(said).toEqual(['mark 20000 50000', 'mark none', 'preview none']);
  });

  it('pans with Shift, pins with a click, zooms out with two', () => {
    pointer('pointerdown', 60, { shiftKey: true });
    pointer('pointermove', 70);
    pointer('pointerup', 70);
    expect(said).toEqual(['preview -10000 90000', 'mark none', 'zoom -10000 90000']);
    said.length = 0;
    pointer('pointerdown', 60);
    pointer('pointerup', 61);
    host.dispatchEvent(new MouseEvent('dblclick', { clientX: 60, clientY: 20, bubbles: true, cancelable: true }));
    host.dispatchEvent(new MouseEvent('dblclick', { clientX: 2, clientY: 20, bubbles: true, cancelable: true }));
    expect(said).toEqual(['mark none', 'pin', 'out']);
  });

  it('points while inside, and no more when the pointer left', () => {
    pointer('pointermove', 50);
    pointer('pointermove', 5);
    pointer('pointerleave', 5);
    pointer('pointermove', 50, { pointerType: 'touch' });
    pointer('pointermove', 50, {}, window);
    expect(said).toEqual(['point 50 20', 'point none', 'point none']);
  });

  it('takes the wheel with Ctrl only', () => {
    const wheel = (ctrlKey: boolean, deltaY: number) => {
      const event = new Event('wheel', { cancelable: true, bubbles: true });
      host.dispatchEvent(Object.assign(event, { clientX: 60, clientY: 20, ctrlKey, deltaY }));
    };
    wheel(false, -1);
    wheel(true, -1);
    wheel(true, 1);
    expect(said).toEqual(['zoom 20000 80000', 'zoom -33333 133333']);
  });

  it('does nothing but point and pin on a chart without zoom', () => {
    zoomable = false;
    pointer('pointerdown', 30);
    pointer('pointermove', 60);
    pointer('pointerup', 60);
    host.dispatchEvent(new WheelEvent('wheel', { ctrlKey: true, deltaY: 1 }));
    expect(said).toEqual(['mark none']);
  });

  it('reads with one finger, holds with a tap, zooms with two', () => {
    touch('touchstart', 50);
    touch('touchmove', 52);
    touch('touchend');
    expect(said).toEqual(['point 50 20', 'point 52 20', 'pin']);
    said.length = 0;
    touch('touchstart', 50);
    touch('touchmove', 90);
    touch('touchend');
    expect(said).toEqual(['point 50 20', 'point 90 20', 'point none']);
    said.length = 0;
    touch('touchstart', 50, 70);
    touch('touchmove', 30, 90);
    touch('touchend');
    expect(said).toEqual(['preview 0 100000', 'preview 33333 66666', 'zoom 33333 66666']);
    said.length = 0;
    touch('touchstart', 50, 52);
    touch('touchend');
    expect(said).toEqual(['preview none']);
  });
});
