// SPDX-License-Identifier: Apache-2.0
// The box at the crosshair. It lives on the page's top layer so that no panel cuts it off; a click pins it for reading and copying.
import type uPlot from 'uplot';
import { i18n } from '../i18n';
import { seriesColour } from '../theme';
import { formatStamp } from '../time/format';
import { resolveZone } from '../time/zone';
import { formatValue } from '../units/format';
import css from './Chart.module.css';
import type { ChartModel } from './model';
import type { LookOptions } from './options';

const MAX_ROWS = 14;

export class Tooltip {
  focused: number | null = null;
  look: LookOptions = { unit: 'short', mode: 'line', zone: 'browser' };
  private readonly box: HTMLDivElement;
  private pinned = false;
  private shown = false;

  constructor(private readonly host: HTMLElement) {
    this.box = document.createElement('div');
    this.box.className = css.tooltip ?? '';
    this.box.hidden = true;
    this.box.setAttribute('aria-hidden', 'true');
    document.addEventListener('pointerdown', this.outside);
    document.addEventListener('keydown', this.escape);
  }

  private readonly outside = (event: PointerEvent): void => {
    if (this.pinned && !this.box.contains(event.target as Node) && !this.host.contains(event.target as Node))
      this.unpin();
  };

  private readonly escape = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && this.pinned) this.unpin();
  };

  togglePin(): void {
    if (this.pinned) this.unpin();
    else if (this.shown) {
      this.pinned = true;
      this.box.dataset.pinned = '';
    }
  }

  private unpin(): void {
    this.pinned = false;
    delete this.box.dataset.pinned;
    this.hide();
  }

  private hide(): void {
    this.shown = false;
    this.box.hidden = true;
  }

  refresh(u: uPlot, model: ChartModel, hidden: ReadonlySet<string>): void {
    if (this.pinned) return;
    const { idx, left = -1, top = -1 } = u.cursor;
    const under = this.host.matches(':hover, :focus-within');
    const at = idx === null || idx === undefined ? undefined : model.x[idx];
    if (at === undefined || left < 0 || !under) {
      this.hide();
      return;
    }
    const rows = model.series
      .map((series, index) => ({ series, index, value: series.values[idx as number] ?? null }))
      .filter((row) => !hidden.has(row.series.id) && row.value !== null)
      .sort((a, b) => (b.value as number) - (a.value as number));
    this.fill(at, rows.slice(0, MAX_ROWS), rows.length);
    if (!this.box.isConnected) document.body.append(this.box);
    this.box.hidden = false;
    this.shown = true;
    this.place(u, left, top);
  }

  private fill(
    at: number,
    rows: { series: ChartModel['series'][number]; index: number; value: number | null }[],
    total: number,
  ): void {
    const line = (className: string | undefined, ...children: (Node | string)[]) => {
      const element = document.createElement('div');
      element.className = className ?? '';
      element.append(...children);
      return element;
    };
    const span = (className: string | undefined, text: string) => {
      const element = document.createElement('span');
      element.className = className ?? '';
      element.textContent = text;
      return element;
    };
    const head = line(css.tooltipHead, span('', formatStamp(at, this.look.zone)));
    if (resolveZone(this.look.zone) !== 'UTC') head.append(span(css.tooltipUtc, `${formatStamp(at, 'utc')} UTC`));
    const lines = rows.map((row) => {
      const swatch = span(css.swatch, '');
      swatch.style.background = seriesColour(row.series.slot);
      const element = line(
        css.tooltipRow,
        swatch,
        span(css.tooltipName, row.series.name),
        span(css.tooltipValue, formatValue(row.value, this.look.unit)),
      );
      if (row.index === this.focused) element.dataset.focused = '';
      return element;
    });
    if (total > rows.length) lines.push(line(css.tooltipMore, i18n.t('chart.more', { count: total - rows.length })));
    this.box.replaceChildren(head, ...lines);
  }

  private place(u: uPlot, left: number, top: number): void {
    const over = u.over.getBoundingClientRect();
    const { offsetWidth: w, offsetHeight: h } = this.box;
    let x = over.left + left + 14;
    if (x + w > innerWidth - 8) x = over.left + left - w - 14;
    const y = Math.min(Math.max(8, over.top + top - h / 2), innerHeight - h - 8);
    this.box.style.transform = `translate(${Math.round(Math.max(8, x))}px, ${Math.round(y)}px)`;
  }

  destroy(): void {
    document.removeEventListener('pointerdown', this.outside);
    document.removeEventListener('keydown', this.escape);
    this.box.remove();
  }
}
