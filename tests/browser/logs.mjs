// SPDX-License-Identifier: Apache-2.0
// Logs in Explore: lines of a stream of our own, what narrows them, their neighbours, those that arrive, and the way to metrics.
import { readFileSync } from 'node:fs';
import { assert, axe, chartDrawn, close, exploreUrl, noOverflow, open, paneOf, until } from './lib.mjs';

const EVIL = '<img src=x onerror="window.evil=1"> \u001b[31mred\u001b[0m level=error a=1';

const logsUrl = (expr, logs) => {
  const pane = {
    datasource: 'logs',
    queries: [{ refId: 'A', expr, datasource: { type: 'loki', uid: 'logs' } }],
    range: { from: 'now-1h', to: 'now' },
    ...(logs ? { panelsState: { tocayo: { logs } } } : {}),
  };
  return `/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify({ a: pane }))}`;
};

/** 1,500 JSON lines of the last half hour, an odd one last. */
async function pushLines(base, service, host, extra = []) {
  const now = BigInt(Date.now()) * 1_000_000n;
  const values = Array.from({ length: 1500 }, (_, i) => [
    String(now - BigInt(1501 - i) * 1_000_000_000n),
    JSON.stringify({ level: i % 50 === 0 ? 'error' : 'info', msg: `order ${i} handled`, user: `u${i % 7}` }),
  ]);
  const stream = { service_name: service, ...(host ? { instance: host } : {}) };
  await send(base, stream, [...values, ...extra.map((text, i) => [String(now - BigInt(100 - i)), text])]);
}

async function send(base, stream, values) {
  const answer = await fetch(`${base}/loki/api/v1/push`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ streams: [{ stream, values }] }),
  });
  assert(answer.ok, `push: ${answer.status} ${await answer.text()}`);
}

const rows = (page) => page.locator('section[aria-label="Log lines"] li');
const firstRow = (page) => until('lines are shown', () => rows(page).first().isVisible());
const detailOf = (page, index) => rows(page).nth(index).getByRole('button', { name: /^Details of/ });
const exprOf = (page) => paneOf(page.url()).queries[0].expr;

async function linesAndFilters(browser, { base }) {
  const service = 'browser-lines';
  await pushLines(base, service, null, [EVIL]);
  const s = await open(browser, base, logsUrl(`{service_name="${service}"}`));
  const { page } = s;
  await firstRow(page);
  assert((await rows(page).first().textContent()).includes('<img src=x'), 'the newest line is not first');
  assert(!(await page.evaluate(() => window.evil)), 'a log line ran as HTML');
  assert((await rows(page).count()) < 200, 'all lines are in the document');
  await until('the volume by level', () => page.getByText(/1,501 lines, per/).isVisible());
  await page.getByRole('button', { name: 'Load older lines' }).click();
  await until('all lines are loaded', () => page.getByText('1501 lines', { exact: true }).isVisible());

  await page.getByRole('button', { name: /Newest first/ }).click();
  await until('the oldest is first', async () => (await rows(page).first().textContent()).includes('order 0 handled'));
  await detailOf(page, 0).click();
  const found = await axe(page);
  assert(found.length === 0, found.join(' | '));
  await page.getByRole('button', { name: 'Only user = u0' }).click();
  await until('the filter is in the query', () => exprOf(page).includes('| json | user="u0"'));
  await until('only these lines', () => page.getByText('215 lines', { exact: true }).isVisible());
  await page.goBack();
  await until('Back takes the filter away', () => !exprOf(page).includes('user='));
  await close(s);
}

async function contextAndLink(browser, { base }) {
  const service = 'browser-context';
  await pushLines(base, service, null);
  const s = await open(browser, base, logsUrl(`{service_name="${service}"} |= "order 700 "`));
  const { page, context } = s;
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await firstRow(page);
  assert((await rows(page).count()) === 1, 'the line filter let others pass');
  await detailOf(page, 0).click();
  await page.getByRole('button', { name: 'Lines around it' }).click();
  const dialog = page.getByRole('dialog');
  await until('the line among its neighbours', () => dialog.locator('li[aria-current]').isVisible());
  const texts = await dialog.locator('li').allTextContents();
  const at = texts.findIndex((text) => text.includes('order 700 '));
  assert(texts[at - 1].includes('order 699 ') && texts[at + 1].includes('order 701 '), texts.join('\n'));
  assert(texts.length === 21, `${texts.length} lines, not ten on each side`);
  const found = await axe(page);
  assert(found.length === 0, found.join(' | '));
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Copy link to this line' }).click();
  const link = await until('a link', () => page.evaluate(() => navigator.clipboard.readText()));
  await page.goto(link);
  await until('the line of the link is open', () => page.locator('li[data-wanted]').getByText('Detected fields').isVisible());
  await close(s);
}

async function liveTail(browser, { base }) {
  const service = 'browser-tail';
  const say = (text) => send(base, { service_name: service }, [[String(BigInt(Date.now()) * 1_000_000n), text]]);
  await say('before');
  const s = await open(browser, base, logsUrl(`{service_name="${service}"}`));
  const { page } = s;
  await page.getByRole('button', { name: 'Live tail' }).click();
  const shows = (text) => () => rows(page).getByText(text, { exact: true }).isVisible();
  await until('the backlog', shows('before'));
  await say('first');
  await until('a line that arrives', shows('first'));
  await page.getByRole('button', { name: 'Pause' }).click();
  await say('second');
  await until('it waits', () => page.getByText('paused, 1 line waits').isVisible());
  assert(!(await shows('second')()), 'the pause does not hold');
  await page.getByRole('button', { name: 'Resume' }).click();
  await until('what waited', shows('second'));
  const now = BigInt(Date.now()) * 1_000_000n;
  const many = Array.from({ length: 80 }, (_, i) => [String(now + BigInt(i)), `many ${i}`]);
  await send(base, { service_name: service }, many);
  await until('the end is in sight', shows('many 79'));
  await page.locator('section[aria-label="Log lines"]').hover();
  await page.mouse.wheel(0, -900);
  await until('scrolling up pauses', () => page.getByRole('button', { name: 'Resume' }).isVisible());
  await close(s);
}

async function patterns(browser, { base }) {
  const service = 'browser-patterns';
  const now = BigInt(Date.now()) * 1_000_000n;
  const values = Array.from({ length: 60 }, (_, i) => [String(now + BigInt(i)), `user ${i * 7919} logged in from 10.0.0.${i}`]);
  await send(base, { service_name: service }, [...values, [String(now + 100n), 'shutting down']]);
  const s = await open(browser, base, logsUrl(`{service_name="${service}"}`, { tab: 'patterns' }));
  const { page } = s;
  const drop = page.getByRole('button', { name: /^Without lines like user <_> logged/ }).first();
  await until('the pattern', () => drop.isVisible());
  const found = await axe(page);
  assert(found.length === 0, found.join(' | '));
  await drop.click();
  await until('it is left out by the query', () => exprOf(page).includes('!> "user <_> logged'));
  await page.getByText('Lines', { exact: true }).first().click();
  await until('the other lines', () => rows(page).getByText('shutting down').isVisible());
  assert((await rows(page).count()) === 1, 'lines of the pattern are still there');
  await close(s);
}

async function fieldsAndFiles(browser, { base }) {
  const service = 'browser-fields';
  await pushLines(base, service, 'web-1');
  await pushLines(base, service, 'web-2');
  const s = await open(browser, base, logsUrl(`{service_name="${service}"}`, { tab: 'fields' }));
  const { page } = s;
  const field = (name) => page.getByRole('button', { name: new RegExp(`^${name} `) });
  await until('a field of the lines', () => field('user').isVisible());
  assert((await field('user').textContent()).includes('7 values'), await field('user').textContent());
  assert((await field('instance').textContent()).includes('2 values'), await field('instance').textContent());
  await field('user').click();
  const values = page.getByRole('list', { name: 'Values of user' });
  // 3,000 lines of seven users: five of them have 430 each, two 428 (1500 is 7 x 214 and 2).
  await until('its values with their counts', async () => /^\s*430.*u0/.test(await values.locator('li').first().textContent()));
  assert((await values.locator('li').count()) === 7, 'not seven values');
  const found = await axe(page);
  assert(found.length === 0, found.join(' | '));
  await page.getByRole('button', { name: 'Only user = u3' }).click();
  await until('the query is narrowed', () => exprOf(page).includes('| json | user="u3"'));
  await field('instance').click();
  await page.getByRole('button', { name: 'Without instance = web-2' }).click();
  await until('by a label too', () => exprOf(page).includes('instance!="web-2"'));
  await page.getByText('Lines', { exact: true }).first().click();
  await until('only these lines', () => page.getByText('214 lines', { exact: true }).isVisible());
  for (const [kind, holds] of [
    ['text', /^\d{4}-\d\d-\d\dT[\d:.]{18}Z \{"level":"\w+","msg":"order \d+ handled","user":"u3"\}\n/],
    ['JSON', /"timestampNs": "\d{19}"/],
    ['CSV', /^time,timestamp_ns,level,instance,service_name,line\r\n/],
  ]) {
    await page.getByRole('button', { name: 'Download the lines shown' }).click();
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: `As ${kind}`, exact: true }).click(),
    ]);
    const text = readFileSync(await file.path(), 'utf8');
    assert(holds.test(text), `${file.suggestedFilename()}: ${text.slice(0, 120)}`);
    assert(text.split('"u3').length + text.split('""u3').length > 214, `${kind} holds too few lines`);
  }
  await close(s);
}

async function numbersAndErrors(browser, { base }) {
  const service = 'browser-numbers';
  await pushLines(base, service, null);
  const expr = `sum by (service_name) (count_over_time({service_name="${service}"} [5m]))`;
  const s = await open(browser, base, logsUrl(expr), { allow: [/status of 400/] });
  const { page } = s;
  await until('a chart', () => page.locator('figure').getByText(`{service_name="${service}"}`).first().isVisible());
  await page.getByText('Table', { exact: true }).click();
  await until('a table', () => page.getByRole('cell', { name: /^\d{3}$/ }).isVisible());
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('{service_name=');
  await page.keyboard.press('Shift+Enter');
  const error = page.getByTestId('query-error');
  await until('the place of the error', async () => /Line 1, column \d+:/.test(await error.textContent()));
  await page.keyboard.press('Escape');
  const found = await axe(page);
  assert(found.length === 0, found.join(' | '));
  await close(s);
}

/** Lines of two streams in one pane, a number beside them, and one that cannot be read. */
async function severalQueries(browser, { base }) {
  await pushLines(base, 'browser-several-a', null);
  await pushLines(base, 'browser-several-b', null);
  const s = await open(browser, base, logsUrl('{service_name="browser-several-a"} |= "order 1499 "'), { allow: [/status of 400/] });
  const { page } = s;
  await firstRow(page);
  await page.getByRole('button', { name: 'Add query' }).click();
  const editor = page.locator('.cm-content').nth(1);
  const write = async (text) => {
    await editor.click();
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText(text);
    await page.keyboard.press('Shift+Enter');
  };
  await editor.waitFor();
  await write('{service_name="browser-several-b"} |= "order 1498 "');
  await until('lines of both', async () => (await rows(page).count()) === 2);
  assert((await rows(page).first().textContent()).includes('order 1499'), 'not in the order of time');
  await until('the volume of each', () => page.getByText(/lines of each query: A 1, B 1, per/).isVisible());
  assert((await axe(page)).length === 0, (await axe(page)).join(' | '));
  await page.getByText('Levels of B', { exact: true }).click();
  await until('the volume of one', () => page.getByText(/1 line, per/).isVisible());
  await page.getByText('Fields', { exact: true }).click();
  await page.getByRole('button', { name: /^service_name/ }).click();
  for (const [query, value] of [['A', 'browser-several-a'], ['B', 'browser-several-b']]) {
    const values = page.getByRole('list', { name: `Values of service_name in ${query}` });
    await until(`the values in ${query}`, async () => (await values.textContent()).includes(value));
  }
  const found = await axe(page);
  assert(found.length === 0, found.join(' | '));
  await page.getByText('Lines', { exact: true }).click();
  await until('lines again', async () => (await rows(page).count()) === 2);
  await write('sum(count_over_time({service_name="browser-several-b"} [1h]))');
  await until('a chart beside lines', () => page.locator('figure[aria-label], figure').nth(1).isVisible());
  await until('only the lines of the first', async () => (await rows(page).count()) === 1);
  await write('{service_name=');
  await until('the row of the mistake says it', () => page.getByTestId('query-error').isVisible());
  assert((await rows(page).count()) === 1, 'the other query lost its lines');
  await page.getByRole('button', { name: 'Remove query B' }).click();
  await until('one row', async () => (await page.locator('.cm-content').count()) === 1);
  await close(s);
}

async function completion(browser, { base }) {
  await pushLines(base, 'browser-completion', null);
  const s = await open(browser, base, logsUrl(''), { allow: [/status of 400/] });
  const { page } = s;
  await page.locator('.cm-content').click();
  const option = (name) => page.getByRole('option', { name, exact: true });
  await page.keyboard.type('{service_n');
  await until('names of labels', () => option('service_name').isVisible());
  await page.keyboard.press('Control+A');
  await page.keyboard.type('{service_name="browser-comp');
  await until('values of the label', () => option('browser-completion').isVisible());
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText('{service_name="browser-completion"} ');
  await page.keyboard.type('| us');
  await until('detected fields', () => option('user').isVisible());
  await close(s);
}

/** The program's own metrics and a stream that shares their `instance`. */
async function bridge(browser, { base }) {
  const metric = await until('a series of its own', async () => {
    const answer = await (await fetch(`${base}/api/v1/query?query=up`)).json();
    return answer.data?.result?.[0]?.metric;
  });
  await pushLines(base, 'browser-bridge', metric.instance);
  const s = await open(browser, base, logsUrl('{service_name="browser-bridge"}'));
  const { page } = s;
  await firstRow(page);
  await detailOf(page, 0).click();
  await page.getByRole('button', { name: 'Metrics of the same labels' }).click();
  const panes = () => Object.values(JSON.parse(new URL(page.url()).searchParams.get('panes')));
  await until('a pane of metrics', () => panes().length === 2);
  assert(panes()[1].datasource !== 'logs', 'the new pane asks logs');
  assert(panes()[1].queries[0].expr === `{instance="${metric.instance}"}`, panes()[1].queries[0].expr);

  await page.goto(base + exploreUrl([`up{instance="${metric.instance}"}`], { from: 'now-5m', to: 'now' }));
  await until('the chart', () => chartDrawn(page));
  await page.locator('figure [role="group"]').first().focus();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Logs of the same labels' }).or(page.getByText('Logs of the same labels')).first().click();
  await until('a pane of logs', () => panes()[1]?.datasource === 'logs');
  assert(panes()[1].queries[0].expr === `{instance="${metric.instance}"}`, panes()[1].queries[0].expr);
  await firstRow(page);
  await close(s);
}

const looks = ['dark', 'light'].flatMap((theme) =>
  ['en', 'es'].flatMap((language) => [1440, 390].map((width) => ({ theme, language, width }))),
);

const look = ({ theme, language, width }) => ({
  name: `logs page ${theme} ${language} ${width}`,
  data: false,
  run: async (browser, { base }) => {
    const service = `browser-look-${theme}-${language}-${width}`;
    await pushLines(base, service, null, [EVIL]);
    const s = await open(browser, base, logsUrl(`{service_name="${service}"}`), { theme, language, width });
    const row = s.page.locator('li[data-level]').first();
    await until('lines', () => row.isVisible());
    await row.getByRole('button').first().click();
    await until('the volume', () => s.page.locator('figure canvas').first().isVisible());
    await noOverflow(s.page, `logs ${width}`);
    const found = await axe(s.page);
    assert(found.length === 0, found.join(' | '));
    await close(s);
  },
});

export const logChecks = [
  { name: 'logs: lines, volume, order and filters', run: linesAndFilters },
  { name: 'logs: neighbours of a line and a link to it', run: contextAndLink },
  { name: 'logs: live tail, pause and scrolling up', run: liveTail },
  { name: 'logs: patterns', run: patterns },
  { name: 'logs: fields with their values, and files', run: fieldsAndFiles },
  { name: 'logs: numbers and errors', run: numbersAndErrors },
  { name: 'logs: several queries in one pane', run: severalQueries },
  { name: 'logs: completion', run: completion },
  { name: 'logs: metrics of the same labels', run: bridge },
  ...looks.map(look),
];
