// SPDX-License-Identifier: Apache-2.0
// Writes the date-math vectors that the page and the server are tested with, as @grafana/data (Apache-2.0) computes them:
//   npm install --prefix DIR @grafana/data@13 react@19 react-dom@19 rxjs
//   TZ=UTC node tools/date-vectors.mjs DIR > ../tests/vectors/date_math.json
// The package is no dependency of ours: it is needed only to make the file again.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.argv[2] ?? '.', 'package.json'));
const { dateMath, setWeekStart } = require('@grafana/data');
if (new Date().getTimezoneOffset() !== 0) throw new Error('run with TZ=UTC');
setWeekStart('sunday');

const ZONES = [
  'utc',
  'Europe/Madrid',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
];
// An ordinary moment, shortly before clocks go forward and back in Europe, and the end of a leap day.
const INSTANTS = [1795516325123, 1774745970000, 1792891800500, 1709251199999];
const UNITS = 'smhdwMQy'.split('');

function expressions() {
  const out = ['now'];
  for (const u of UNITS) {
    for (const n of ['', '1', '2', '3', '5', '7', '14', '30']) out.push(`now-${n}${u}`, `now+${n}${u}`);
    out.push(`now/${u}`, `now-1${u}/${u}`, `now+1${u}/${u}`, `now-2${u}/${u}`, `now/${u}-1${u}`);
  }
  for (const [a, b] of ['dh', 'Md', 'wd', 'yM', 'hm', 'dM', 'Mw', 'QM', 'yd', 'dm', 'wh', 'Mh', 'Qd', 'yw', 'ms'])
    out.push(`now/${a}+3${b}`, `now-1${a}/${a}+5${b}`, `now-1${a}-2${b}`, `now+2${a}-3${b}/${b}`, `now/${a}/${b}`);
  for (const unit of ['fQ', 'fy'])
    for (const back of ['', '-1M', '-1Q', '-1y', '-5d', '+2M']) out.push(`now${back}/${unit}`);
  // Large numbers, and sums that cross months, years and DST edges more than once.
  out.push('now-90d', 'now-365d/d', 'now-1000h', 'now-99999s', 'now-12345m/h', 'now-18M/M', 'now-52w/w', 'now+99d/w');
  out.push('now-1y-1M-1w-1d-1h-1m-1s', 'now+1y+1M+1w+1d+1h+1m+1s', 'now-6M/Q+45d/d', 'now/y-1d/d+1h', 'now/M-1s');
  out.push('now-1M/M-1M/M', 'now-1d/d-1d/d', 'now/w-1w/w', 'now/d-30m', 'now/d+90m/h', 'now-36h/d', 'now+25h/d');
  // Anchored: the offset is written, and only units without a calendar are added, so that the zone has no part in it.
  for (const at of [
    '2026-03-29T00:59:59Z',
    '2026-10-25T00:30:00+02:00',
    '2024-02-29T23:59:59.999Z',
    '1999-12-31T23:00:00-01:00',
  ])
    out.push(at, `${at}||+1h`, `${at}||-90m`, `${at}||+3600s-1h`);
  out.push(
    'now-',
    'now/',
    'now-1x',
    'now-123456h',
    'now/2d',
    'now--1h',
    'now-1h/',
    'later',
    'now-1hh',
    'now1h',
    'now+-1d',
    '||+1h',
  );
  return [...new Set(out)];
}

const realNow = Date.now;
function at(text, up, zone, nowMs) {
  Date.now = () => nowMs;
  try {
    const value = dateMath.parse(text, up, zone, 0);
    return value?.isValid() ? value.valueOf() : null;
  } finally {
    Date.now = realNow;
  }
}

const list = expressions();
const rows = [];
for (const text of list)
  for (const zone of ZONES)
    for (const nowMs of INSTANTS) rows.push([at(text, false, zone, nowMs), at(text, true, zone, nowMs)]);
const head = {
  about:
    'Date math by @grafana/data 13 (Apache-2.0): expressions x zones x instants, weeks start on Sunday, fiscal years in January. Rows in that order: [from, to] in ms, null where invalid. Made by web/tools/date-vectors.mjs.',
  expressions: list,
  zones: ZONES,
  instants: INSTANTS,
};
const text = JSON.stringify(head, null, 1).slice(0, -2);
process.stdout.write(`${text},\n "rows": [\n${rows.map((r) => `  ${JSON.stringify(r)}`).join(',\n')}\n ]\n}\n`);
process.stderr.write(`${list.length} expressions, ${rows.length} rows\n`);
