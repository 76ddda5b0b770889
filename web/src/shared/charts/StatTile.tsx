// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useStore } from '../store';
import { scheme, seriesColour } from '../theme';
import type { TimeControls } from '../time/useTime';
import { formatValue, type Unit } from '../units/format';
import { type ChartSource, statsOf } from './model';
import css from './StatTile.module.css';
import { schedule, unschedule } from './scheduler';
import { type PanelQuery, usePanelSource } from './usePanelSource';

interface Props {
  label: string;
  queries: readonly PanelQuery[];
  unit: Unit;
  time: TimeControls;
  slot: number;
}

/** One number that matters, with the line it came along on. */
export function StatTile({ label, queries, unit, time, slot }: Props) {
  const { t } = useTranslation();
  const { source, state } = usePanelSource(queries, { range: time.range, live: time.live }, t('chart.noData'));
  const value = useLast(source);
  const failed = state.kind === 'error' || state.kind === 'forbidden';
  return (
    <div className={css.tile}>
      <p className={css.label} title={label}>
        {label}
      </p>
      <p className={css.value} title={failed && state.kind === 'error' ? String(state.error) : undefined}>
        {failed ? t('error.other') : formatValue(value, unit)}
      </p>
      <Sparkline source={source} slot={slot} />
    </div>
  );
}

const NO_VALUES = new Float64Array(0);

function useLast(source: ChartSource): number | null {
  const read = () => statsOf(source.model().series[0]?.values ?? NO_VALUES).last;
  const [value, setValue] = useState(read);
  // biome-ignore lint/correctness/useExhaustiveDependencies: read only looks at the source
  useEffect(() => {
    setValue(read());
    return source.subscribe(() => setValue(read()));
  }, [source]);
  return value;
}

function Sparkline({ source, slot }: { source: ChartSource; slot: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const active = useStore(scheme);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const item = {
      visible: () => element.isConnected,
      draw: () => paint(element, source, seriesColour(slot, active)),
    };
    const again = () => schedule(item);
    const off = source.subscribe(again);
    const sized = new ResizeObserver(again);
    sized.observe(element);
    again();
    return () => {
      off();
      sized.disconnect();
      unschedule(item);
    };
  }, [source, slot, active]);
  return <canvas ref={canvas} className={css.spark} />;
}

function paint(canvas: HTMLCanvasElement, source: ChartSource, colour: string): void {
  const ratio = Math.min(2, devicePixelRatio);
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const g = canvas.getContext('2d');
  const series = source.model().series[0];
  if (!g || !series) return;
  g.scale(ratio, ratio);
  const { min: t0, max: t1 } = source.window();
  const { min, max } = statsOf(series.values);
  if (min === null || max === null) return;
  const span = max - min || Math.abs(max) || 1;
  const x = (ms: number) => ((ms - t0) / (t1 - t0)) * width;
  const y = (v: number) => height - 2 - ((v - min) / span) * (height - 5) * (max === min ? 0.5 : 1);
  g.strokeStyle = colour;
  g.lineWidth = 1.25;
  g.lineJoin = 'round';
  g.beginPath();
  let pen = false;
  series.values.forEach((value, k) => {
    if (Number.isNaN(value)) pen = false;
    else {
      const at = x(source.model().x[k] ?? 0);
      if (pen) g.lineTo(at, y(value));
      else g.moveTo(at, y(value));
      pen = true;
    }
  });
  g.stroke();
}
