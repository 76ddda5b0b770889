// SPDX-License-Identifier: Apache-2.0
// The page that the service worker shows while the server does not answer. It asks with growing pauses and goes back
// to what was asked for; what it shows of the past carries its age.
import 'virtual:tokens.css';
import '../fonts.css';
import './offline.css';
import { lastKnownState } from '../../shared/lastKnown';
import en from './en.json';
import es from './es.json';

type Key = keyof typeof en;

const language = document.documentElement.lang === 'es' ? 'es' : 'en';
const base = document.querySelector<HTMLMetaElement>('meta[name="base-path"]')?.content ?? '';
const FIRST_PAUSE = 2;
const LONGEST_PAUSE = 30;

function text(key: Key, values: Record<string, string | number> = {}): string {
  return (language === 'es' ? es : en)[key].replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name] ?? ''));
}

function element<K extends keyof HTMLElementTagNameMap>(tag: K, content = ''): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = content;
  return made;
}

function age(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  const [value, unit] =
    minutes < 60
      ? [minutes, 'minute']
      : minutes < 2880
        ? [Math.round(minutes / 60), 'hour']
        : [Math.round(minutes / 1440), 'day'];
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(value);
}

function lastKnown(): HTMLElement {
  const section = element('section');
  section.append(element('h2', text('offline.known')));
  const state = lastKnownState();
  if (!state) {
    section.append(element('p', text('offline.none')));
    return section;
  }
  const time = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(state.atMs);
  section.append(element('p', text('offline.age', { time, age: age(Date.now() - state.atMs) })));
  if (state.wrong.length === 0) section.append(element('p', text('offline.quiet')));
  const list = element('ul');
  for (const entry of state.wrong) {
    const item = element('li');
    const what = element('strong', entry.what);
    what.className = entry.level === 'critical' ? 'critical' : 'warning';
    item.append(what, element('span', entry.why));
    list.append(item);
  }
  section.append(list);
  return section;
}

const countdown = element('p');
const button = element('button', text('offline.now'));
let pause = FIRST_PAUSE;
let left = FIRST_PAUSE;
let trying = false;

async function attempt(): Promise<void> {
  if (trying) return;
  trying = true;
  countdown.textContent = text('offline.trying');
  try {
    const answer = await fetch(`${base}/-/healthy`, { cache: 'no-store' });
    if (answer.ok) {
      location.reload();
      return;
    }
  } catch {
    // Still down.
  }
  trying = false;
  pause = Math.min(LONGEST_PAUSE, pause * 2);
  left = pause;
}

function tick(): void {
  if (trying) return;
  if (left <= 0) {
    void attempt();
    return;
  }
  countdown.textContent = text('offline.next', { seconds: left });
  left -= 1;
}

button.type = 'button';
button.addEventListener('click', () => void attempt());
window.addEventListener('online', () => void attempt());
document.title = text('offline.title');
const main = document.getElementById('offline');
const row = element('div');
row.append(button, countdown);
main?.append(element('h1', text('offline.title')), element('p', text('offline.text')), row, lastKnown());
tick();
setInterval(tick, 1000);
