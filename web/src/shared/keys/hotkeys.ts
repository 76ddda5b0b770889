// SPDX-License-Identifier: Apache-2.0
// Key sequences (`g h`, `t +`, `mod+k`). Nothing fires while someone types, and single keys can be switched off.
import { prefs } from '../prefs';

export interface Hotkey {
  keys: string;
  run: () => void;
}

const bindings = new Map<string, Set<() => void>>();
let pending = '';
let timer: ReturnType<typeof setTimeout> | undefined;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || !!target.closest('.cm-editor');
}

const NAMES: Record<string, string> = { ArrowLeft: 'left', ArrowRight: 'right', ' ': 'space' };

export function keyOf(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>): string {
  const key = NAMES[event.key] ?? (event.key.length === 1 ? event.key : event.key.toLowerCase());
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push('mod');
  if (event.altKey) parts.push('alt');
  parts.push(parts.length > 0 ? key.toLowerCase() : key);
  return parts.join('+');
}

function fire(sequence: string): boolean {
  const set = bindings.get(sequence);
  if (!set || set.size === 0) return false;
  [...set].at(-1)?.();
  return true;
}

export function handleKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  const key = keyOf(event);
  const modified = event.ctrlKey || event.metaKey || event.altKey;
  if (modified) {
    if (isTyping(event.target) && key !== 'mod+k') return;
    if (fire(key)) event.preventDefault();
    return;
  }
  if (isTyping(event.target) || !prefs.get().singleKeys || document.querySelector('dialog[open]')) return;
  const sequence = pending ? `${pending} ${key}` : key;
  pending = '';
  clearTimeout(timer);
  if (fire(sequence)) {
    event.preventDefault();
    return;
  }
  const starts = [...bindings.keys()].some((k) => k.startsWith(`${key} `) && (bindings.get(k)?.size ?? 0) > 0);
  if (starts) {
    pending = key;
    timer = setTimeout(() => {
      pending = '';
    }, 1200);
  }
}

export function bind(keys: string, run: () => void): () => void {
  const set = bindings.get(keys) ?? new Set();
  bindings.set(keys, set);
  set.add(run);
  return () => set.delete(run);
}
