// SPDX-License-Identifier: Apache-2.0
// Development only: the names that Tocayo publishes about itself, moving a little.
export function selfMetrics(started) {
  const t = (Date.now() - started) / 1000;
  const wave = 1 + 0.1 * Math.sin(t / 20);
  const buckets = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064];
  const histogram = (name, mid) =>
    `# TYPE ${name} histogram\n${buckets.map((le) => `${name}_bucket{le="${le}"} ${Math.floor(t * 10 * (1 - Math.exp(-le / (mid * wave))))}`).join('\n')}\n${name}_bucket{le="+Inf"} ${Math.floor(t * 10)}\n${name}_count ${Math.floor(t * 10)}\n${name}_sum ${t * 10 * mid}\n`;
  return [
    '# HELP tocayo_metrics_samples_appended_total Samples appended to the head.\n# TYPE tocayo_metrics_samples_appended_total counter',
    `tocayo_metrics_samples_appended_total ${Math.floor(t * 1850 + 900 * Math.sin(t / 15))}`,
    '# TYPE tocayo_metrics_active_series gauge',
    `tocayo_metrics_active_series ${1830 + Math.floor(10 * wave)}`,
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${process.memoryUsage().rss}`,
    '# TYPE process_cpu_seconds_total counter',
    `process_cpu_seconds_total ${(process.cpuUsage().user + process.cpuUsage().system) / 1e6}`,
    histogram('tocayo_journal_fsync_seconds', 0.0012),
    histogram('tocayo_promql_query_duration_seconds', 0.004),
  ].join('\n');
}
