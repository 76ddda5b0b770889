// SPDX-License-Identifier: Apache-2.0
// The box at the crosshair. It lives on the page's top layer so that no panel cuts it off; a click pins it for reading,
// copying and acting on a series.
import { i18n } from '../i18n';
import { seriesColour } from '../theme';
import { formatStamp } from '../time/format';
import { resolveZone } from '../time/zone';
import { formatValue } from '../units/format';
import css from './Chart.module.css';
import type { ChartModel, SeriesModel } from './model';
import type { LookOptions } from './options';
import { tooltipPrefs } from './tooltipPrefs';
import { type TooltipRow, tooltipRows } from './tooltipRows';

const MAX_ROWS = 14;
const MAX_PINNED = 200;

/** Something to do with a series, offered while the tooltip is pinned. */
export interface SeriesAction {
  label: string;
  run: () => void;
}

export interface SeriesActions {
  /** Keeps or drops what carries this label. */
  filter?: ((label: string, value: string, keep: boolean) => void) | undefined;
  more?: ((series: SeriesModel) => SeriesAction[]) | undefined;
}

export interface TooltipPlace {
  model: ChartModel;
  hidden: ReadonlySet<string>;
  step: number;
  /** Where the crosshair is on the screen. */
  clientX: number;
  clientY: number;
}

function element(tag: string, className: string | undefined, ...children: (Node | string)[]): HTMLElement {
  const out = document.createElement(tag);
  out.className = className ?? '';
  out.append(...children);
  return out;
}

function button(label: string, className: string | undefined, run: () => void): HTMLButtonElement {
  const out = element('button', className, label) as HTMLButtonElement;
  out.type = 'button';
  out.addEventListener('click', run);
  return out;
}

export class Tooltip {
  focused: number | null = null;
  look: LookOptions = { unit: 'short', mode: 'line', zone: 'browser' };
  actions: SeriesActions = {};
  /** Called when a pinned box was let go. */
  onUnpin: () => void = () => undefined;
  private readonly box = element('div', css.tooltip);
  private pinned = false;
  private place: TooltipPlace | null = null;
  /** The series whose labels a pinned box shows. */
  private chosen: string | null = null;

  constructor(private readonly host: HTMLElement) {
    this.box.hidden = true;
    this.box.setAttribute('aria-hidden', 'true');
    document.addEventListener('pointerdown', this.outside);
    document.addEventListener('keydown', this.escape, { capture: true });
  }

  private readonly outside = (event: PointerEvent): void => {
    if (this.pinned && !this.box.contains(event.target as Node) && !this.host.contains(event.target as Node))
      this.unpin();
  };

  private readonly escape = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || !this.pinned) return;
    event.preventDefault();
    event.stopPropagation();
    this.unpin();
    this.host.focus();
  };

  isPinned(): boolean {
    return this.pinned;
  }

  /** Pins the box where it is, or lets it go. From the keyboard the focus moves into it. */
  togglePin(withFocus = false): void {
    if (this.pinned) {
      this.unpin();
      return;
    }
    if (this.box.hidden || !this.place) return;
    this.pinned = true;
    this.chosen = this.focused === null ? null : (this.place.model.series[this.focused]?.id ?? null);
    this.box.dataset.pinned = '';
    this.box.removeAttribute('aria-hidden');
    this.box.setAttribute('role', 'dialog');
    this.box.setAttribute('aria-label', i18n.t('chart.pinned'));
    this.box.tabIndex = -1;
    this.render();
    if (withFocus) this.box.querySelector('button')?.focus();
  }

  private unpin(): void {
    this.pinned = false;
    delete this.box.dataset.pinned;
    this.box.setAttribute('aria-hidden', 'true');
    this.box.removeAttribute('role');
    this.hide();
    this.onUnpin();
  }

  hide(): void {
    if (this.pinned) return;
    this.place = null;
    this.box.hidden = true;
  }

  show(place: TooltipPlace): void {
    if (this.pinned) return;
    this.place = place;
    this.render();
  }

  private render(): void {
    const { place } = this;
    if (!place) return;
    const prefs = this.pinned ? { ...tooltipPrefs.get(), mode: 'all' as const } : tooltipPrefs.get();
    const rows = tooltipRows(place.model, place.hidden, place.step, this.focused, prefs);
    const at = place.model.x[place.step];
    if (at === undefined || prefs.mode === 'none' || (prefs.mode === 'single' && rows.length === 0)) {
      this.box.hidden = true;
      return;
    }
    this.box.replaceChildren(...this.content(at, rows));
    if (!this.box.isConnected) document.body.append(this.box);
    this.box.hidden = false;
    this.position(place);
  }

  private content(at: number, rows: readonly TooltipRow[]): HTMLElement[] {
    const head = element('div', css.tooltipHead, element('span', '', formatStamp(at, this.look.zone)));
    if (resolveZone(this.look.zone) !== 'UTC')
      head.append(element('span', css.tooltipUtc, `${formatStamp(at, 'utc')} UTC`));
    if (this.pinned) {
      const close = button('×', css.tooltipClose, () => this.unpin());
      close.setAttribute('aria-label', i18n.t('action.close'));
      head.append(close);
    }
    const most = this.pinned ? MAX_PINNED : MAX_ROWS;
    const lines = rows.slice(0, most).map((row) => this.line(row));
    if (rows.length > most)
      lines.push(element('div', css.tooltipMore, i18n.t('chart.more', { count: rows.length - most })));
    const body = element('div', css.tooltipBody, ...lines);
    const chosen = this.pinned ? rows.find((row) => row.series.id === this.chosen) : undefined;
    return chosen ? [head, body, this.details(chosen.series)] : [head, body];
  }

  private line(row: TooltipRow): HTMLElement {
    const swatch = element('span', css.swatch);
    swatch.style.background = seriesColour(row.series.slot);
    if (row.series.ghost) swatch.dataset.ghost = '';
    const name = this.pinned
      ? button(row.series.name, css.tooltipPick, () => {
          // A text that is being selected is no click.
          if (getSelection()?.isCollapsed === false) return;
          this.chosen = this.chosen === row.series.id ? null : row.series.id;
          this.render();
          const again = [...this.box.querySelectorAll('button')].find((b) => b.textContent === row.series.name);
          again?.focus();
        })
      : element('span', css.tooltipName, row.series.name);
    if (this.pinned) name.setAttribute('aria-expanded', String(this.chosen === row.series.id));
    const value = element('span', css.tooltipValue, formatValue(row.value, this.look.unit));
    value.title = String(row.value);
    const out = element('div', css.tooltipRow, swatch, name, value);
    if (row.index === this.focused) out.dataset.focused = '';
    return out;
  }

  /** Labels of one series, each with a way to keep or drop it, and what else can be done. */
  private details(series: SeriesModel): HTMLElement {
    const out = element('div', css.tooltipDetails);
    for (const [label, value] of Object.entries(series.labels).filter(([key]) => key !== '__name__')) {
      const row = element('div', css.tooltipLabel, element('code', '', `${label}=${JSON.stringify(value)}`));
      const { filter } = this.actions;
      if (filter)
        for (const keep of [true, false]) {
          const act = button(keep ? '+' : '−', css.tooltipAct, () => {
            this.unpin();
            filter(label, value, keep);
          });
          const name = i18n.t(keep ? 'chart.filterFor' : 'chart.filterOut', { label, value });
          act.setAttribute('aria-label', name);
          act.title = name;
          row.append(act);
        }
      out.append(row);
    }
    const more = this.actions.more?.(series) ?? [];
    if (more.length > 0)
      out.append(
        element(
          'div',
          css.tooltipMoreActs,
          ...more.map((action) =>
            button(action.label, css.tooltipWide, () => {
              this.unpin();
              action.run();
            }),
          ),
        ),
      );
    return out;
  }

  private position({ clientX, clientY }: TooltipPlace): void {
    const { offsetWidth: w, offsetHeight: h } = this.box;
    let x = clientX + 14;
    if (x + w > innerWidth - 8) x = clientX - w - 14;
    const y = Math.max(8, Math.min(clientY - h / 2, innerHeight - h - 8));
    this.box.style.transform = `translate(${Math.round(Math.max(8, x))}px, ${Math.round(y)}px)`;
  }

  destroy(): void {
    document.removeEventListener('pointerdown', this.outside);
    document.removeEventListener('keydown', this.escape, { capture: true });
    this.box.remove();
  }
}
