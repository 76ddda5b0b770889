// SPDX-License-Identifier: Apache-2.0
// Searches colours near hand-picked ones that keep tocayo-12's promise (see colourMath.ts):
//   node tools/palette-search.mjs dark|light
// Prints the improved list and its figures; the result is pasted into tokens/tokens.json.
import {
  contrast,
  deltaE2000,
  parseHex,
  simulate,
  toHex,
  toLab,
  worstDistance,
} from '../src/shared/charts/colourMath.ts';

const SEEDS = {
  dark: [
    '#5f80ff',
    '#f5c04a',
    '#b8407c',
    '#7fe0c3',
    '#e0662c',
    '#b9d7ff',
    '#4a9440',
    '#f2a9dc',
    '#8a6ad6',
    '#d8e07a',
    '#3a9fb5',
    '#f2937f',
  ],
  light: [
    '#2f55d4',
    '#c98a00',
    '#8c1d5e',
    '#1fa284',
    '#c2410c',
    '#6c9ed9',
    '#1f6130',
    '#d565b3',
    '#5a32a8',
    '#8a8f14',
    '#0b6a80',
    '#d96a58',
  ],
};
const PANEL = { dark: '#15181e', light: '#ffffff' };
const theme = process.argv[2] ?? 'dark';
const seed = SEEDS[theme].map(parseHex);

function random(state) {
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
const rnd = random(7);
function score(hexes) {
  const first = worstDistance(hexes.slice(0, 8));
  const all = worstDistance(hexes);
  const low = Math.min(...hexes.map((h) => contrast(h, PANEL[theme])));
  let drift = 0;
  hexes.forEach((h, i) => {
    drift += deltaE2000(toLab(parseHex(h)), toLab(seed[i])) ** 2;
  });
  return Math.min(first, 12.6) * 8 + Math.min(all, 7) * 3 - Math.max(0, 3.15 - low) * 60 - drift * 0.02;
}
let best = seed.map(toHex);
let bestScore = score(best);
let current = best;
let currentScore = bestScore;
const rounds = Number(process.argv[3] ?? 60000);
for (let n = 0; n < rounds; n++) {
  const heat = 1 - n / rounds;
  const next = [...current];
  const i = Math.floor(rnd() * 12);
  next[i] = toHex(parseHex(next[i]).map((v) => v + (rnd() - 0.5) * (0.03 + 0.25 * heat)));
  const s = score(next);
  if (s > currentScore || rnd() < Math.exp((s - currentScore) / (0.02 + heat * 1.5))) {
    current = next;
    currentScore = s;
    if (s > bestScore) {
      best = next;
      bestScore = s;
    }
  }
}
console.log(
  JSON.stringify(best),
  'first 8',
  worstDistance(best.slice(0, 8)).toFixed(2),
  'all',
  worstDistance(best).toFixed(2),
  'contrast',
  Math.min(...best.map((h) => contrast(h, PANEL[theme]))).toFixed(2),
);
console.log(best.map((h) => toLab(parseHex(h))[0].toFixed(0)).join(' '), simulate.name);
