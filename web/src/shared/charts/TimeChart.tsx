// SPDX-License-Identifier: Apache-2.0
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { announce } from '../a11y/announce';
import { prefs } from '../prefs';
import { useStore } from '../store';
import { scheme } from '../theme';
import { formatClock, formatStamp } from '../time/format';
import type { Range } from '../time/range';
import type { Zone } from '../time/zone';
import { formatValue, type Unit } from '../units/format';
import css from './Chart.module.css';
import { ChartTable } from './ChartTable';
import { moved, type Place } from './keyboard';
import { Legend } from './Legend';
import { type ChartModel, type ChartSource, peakOf, valueAt } from './model';
import type { ChartMode } from './options';
import type { SeriesActions } from './tooltip';
import { ChartView } from './view';
import 'uplot/dist/uPlot.min.css';

export interface TimeChartProps {
  title: string;
  source: ChartSource;
  unit: Unit;
  mode?: ChartMode;
  zone: Zone;
  height?: number;
  min?: number;
  max?: number;
  hidden: ReadonlySet<string>;
  onHiddenChange: (next: ReadonlySet<string>) => void;
  onZoom?: (range: Range) => void;
  onZoomOut?: () => void;
  /** Charts of one key share crosshair and selection. */
  syncKey?: string;
  asTable?: boolean;
  legend?: 'list' | 'table';
  /** What the pinned tooltip offers to do with a series. */
  actions?: SeriesActions;
}

/** The model, at most once a second: enough for legend values, and no frame waits for React. */
function useSlowModel(source: ChartSource): ChartModel {
  const [model, setModel] = useState(() => source.model());
  useEffect(() => {
    setModel(source.model());
    let timer: ReturnType<typeof setTimeout> | undefined;
    const off = source.subscribe(() => {
      // Series that come or go are shown at once; new values can wait.
      setModel((shown) => (shown.series.length === source.model().series.length ? shown : source.model()));
      timer ??= setTimeout(() => {
        timer = undefined;
        setModel(source.model());
      }, 900);
    });
    return () => {
      off();
      clearTimeout(timer);
    };
  }, [source]);
  return model;
}

const NO_ACTIONS: SeriesActions = {};

/** Title for assistive technology, plot, legend; or the same as a table. */
export function TimeChart(props: TimeChartProps) {
  const { title, source, unit, mode = 'line', zone, height = 200, hidden, asTable, legend = 'list' } = props;
  const { t } = useTranslation();
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<ChartView | null>(null);
  const cursor = useRef<Place>({ index: -1, series: 0 });
  const hintId = useId();
  const activeScheme = useStore(scheme);
  const { language, hour12 } = useStore(prefs);
  const model = useSlowModel(source);

  useEffect(() => {
    if (!host.current || asTable) return;
    const created = new ChartView(host.current);
    view.current = created;
    return () => {
      created.destroy();
      view.current = null;
    };
  }, [asTable]);

  useEffect(() => {
    const current = view.current;
    if (!current) return;
    current.callbacks = { onZoom: props.onZoom, onZoomOut: props.onZoomOut };
    current.actions = props.actions ?? NO_ACTIONS;
    current.update(source, { unit, mode, zone, min: props.min, max: props.max, syncKey: props.syncKey }, hidden);
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: these are what the drawn texts and colours depend on
  useEffect(() => view.current?.rebuild(), [activeScheme, language, hour12]);

  const peak = peakOf(model, hidden);
  const summary = peak
    ? t('chart.summary', {
        title,
        count: model.series.length,
        max: formatValue(peak.value, unit),
        time: formatClock(peak.atMs, zone),
        series: peak.name,
      })
    : t('chart.summaryEmpty', { title });

  const speak = () => {
    const { index, series: at } = cursor.current;
    const series = model.series[at];
    if (!series) return;
    view.current?.pointAt(index, at);
    announce(
      t('chart.point', {
        series: series.name,
        value: formatValue(valueAt(series, index), unit),
        time: formatStamp(model.x[index] ?? 0, zone),
      }),
    );
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== host.current || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'Enter' && cursor.current.index >= 0) {
      event.preventDefault();
      view.current?.pin();
      return;
    }
    const shown = model.series.map((s) => !hidden.has(s.id));
    const next = moved(event.key, cursor.current, model.x.length, shown);
    if (!next) return;
    event.preventDefault();
    cursor.current = next;
    speak();
  };

  return (
    <figure className={css.figure}>
      {asTable ? (
        <ChartTable title={title} model={model} hidden={hidden} unit={unit} zone={zone} />
      ) : (
        <>
          <div
            ref={host}
            role="group"
            className={css.plot}
            style={{ height }}
            // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys move the crosshair here
            tabIndex={0}
            aria-label={summary}
            aria-describedby={hintId}
            onKeyDown={onKeyDown}
            onBlur={() => view.current?.pointAt(null, 0)}
          />
          <p id={hintId} className="sr-only">
            {t('chart.keyboardHint')}
          </p>
        </>
      )}
      <Legend
        model={model}
        hidden={hidden}
        unit={unit}
        kind={legend}
        onChange={props.onHiddenChange}
        onHover={(index) => view.current?.focus(index)}
      />
      {asTable && <figcaption className={css.caption}>{summary}</figcaption>}
    </figure>
  );
}
