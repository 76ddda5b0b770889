// SPDX-License-Identifier: Apache-2.0
import { type Labels, seriesName } from '@/shared/api/prom';

/** Grafana's legend format: `__auto` is the full name, `{{label}}` takes the label's value. */
export function legendName(format: string, expr: string): (labels: Labels) => string {
  return (labels) => {
    if (format === '__auto' || format === '') {
      const name = seriesName(labels);
      return name === '{}' ? expr : name;
    }
    return format.replace(/\{\{\s*([\w.:]+)\s*\}\}/g, (_all, label: string) => labels[label] ?? '');
  };
}
