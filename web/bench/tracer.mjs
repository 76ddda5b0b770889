// SPDX-License-Identifier: Apache-2.0
// What the page's own thread did while something happened, from Chromium's trace: the CPU time of each of its tasks, in
// which other work of the machine does not count, beside their wall time.

const CATEGORIES = ['toplevel', 'devtools.timeline', 'v8.execute', 'disabled-by-default-devtools.timeline'];

/** Tasks of the busiest page's thread that are in no other one. */
function tasksOf(events) {
  const mains = new Set(
    events.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid}:${e.tid}`),
  );
  const threads = new Map();
  for (const event of events) {
    const thread = `${event.pid}:${event.tid}`;
    if (event.ph !== 'X' || !mains.has(thread)) continue;
    if (!threads.has(thread)) threads.set(thread, []);
    threads.get(thread).push(event);
  }
  const busiest = [...threads.values()].sort((a, b) => b.length - a.length)[0] ?? [];
  busiest.sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const tasks = [];
  let end = 0;
  for (const event of busiest)
    if (event.ts >= end) {
      tasks.push(event);
      end = event.ts + event.dur;
    }
  return tasks;
}

/** Longest task and all tasks together, milliseconds, and what the run gave. */
export async function traced(browser, page, run) {
  await browser.startTracing(page, { categories: CATEGORIES });
  let value;
  let buffer;
  try {
    value = await run();
  } finally {
    buffer = await browser.stopTracing();
  }
  const { traceEvents } = JSON.parse(buffer.toString());
  const tasks = tasksOf(traceEvents);
  const most = (list) => list.reduce((a, b) => Math.max(a, b), 0);
  const cpu = (e) => (e.tdur ?? 0) / 1000;
  return {
    value,
    longestCpuMs: most(tasks.map(cpu)),
    longestWallMs: most(tasks.map((e) => e.dur / 1000)),
    cpuMs: tasks.reduce((sum, e) => sum + cpu(e), 0),
  };
}

export function median(list) {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
}
