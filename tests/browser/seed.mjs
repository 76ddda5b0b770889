// SPDX-License-Identifier: Apache-2.0
// Much made-up data for a server: metrics and log lines, for checks and for measurements.

const KINDS = ['requests_total', 'errors_total', 'latency_seconds', 'queue_depth', 'bytes_total'];
const AT_ONCE = 20_000;

async function sent(answer, what) {
  if (!answer.ok) throw new Error(`${what}: ${answer.status} ${(await answer.text()).slice(0, 300)}`);
}

/** So many metrics of one series each, with a type and a description. */
export async function seedNames(base, count) {
  for (let from = 0; from < count; from += AT_ONCE) {
    let body = '';
    for (let i = from; i < Math.min(count, from + AT_ONCE); i++) {
      const kind = KINDS[i % KINDS.length];
      const name = `service_${i % 977}_${kind.replace('_total', '')}_${i}${kind.endsWith('_total') ? '_total' : ''}`;
      body += `# HELP ${name} What part ${i % 977} of the system did, number ${i}.\n`;
      body += `# TYPE ${name} ${kind.endsWith('_total') ? 'counter' : 'gauge'}\n`;
      body += `${name}{job="bench",instance="host-${i % 40}:9100"} ${i % 1000}\n`;
    }
    await sent(await fetch(`${base}/api/v1/import/prometheus`, { method: 'POST', body }), 'import');
  }
}

const LEVELS = ['info', 'info', 'info', 'info', 'info', 'info', 'warn', 'debug', 'error', 'info'];

/** So many lines of one service over the last hour: JSON, logfmt and plain text, of about 150 characters. */
export async function seedLines(base, service, count) {
  const now = BigInt(Date.now()) * 1_000_000n;
  const step = (3_500n * 1_000_000_000n) / BigInt(count);
  for (let from = 0; from < count; from += AT_ONCE) {
    const values = [];
    for (let i = from; i < Math.min(count, from + AT_ONCE); i++) {
      const level = LEVELS[(i * 7) % LEVELS.length];
      const trace = ((i * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0').repeat(2);
      const fields = { level, msg: `order ${i} handled`, user: `u${i % 977}`, took: `${(i * 37) % 900}ms`, trace };
      const text =
        i % 3 === 0
          ? JSON.stringify({ ...fields, path: `/api/v2/orders/${i % 4096}`, status: i % 50 === 0 ? 500 : 200 })
          : i % 3 === 1
            ? `level=${level} msg="order ${i} handled" user=u${i % 977} took=${fields.took} trace=${trace} host=web-${i % 12}.internal`
            : `10.0.${i % 256}.${(i * 3) % 256} - - "GET /api/v2/orders/${i % 4096}?user=u${i % 977} HTTP/1.1" ${i % 50 === 0 ? 500 : 200} ${i % 9999} "${trace}"`;
      values.push([String(now - BigInt(count - i) * step), text]);
    }
    const body = JSON.stringify({ streams: [{ stream: { service_name: service }, values }] });
    const headers = { 'Content-Type': 'application/json' };
    await sent(await fetch(`${base}/loki/api/v1/push`, { method: 'POST', headers, body }), 'push');
  }
}
