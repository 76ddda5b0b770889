// SPDX-License-Identifier: Apache-2.0
// Colour arithmetic for the palette and contrast tests: sRGB <-> Lab, WCAG contrast,
// CIEDE2000 (Sharma et al. 2005) and dichromat simulation (Machado et al. 2009, severity 1).

export type Rgb = readonly [number, number, number];
export type Deficiency = 'none' | 'protan' | 'deutan' | 'tritan';

export function parseHex(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1), 16);
  return [(n >> 16) / 255, ((n >> 8) & 255) / 255, (n & 255) / 255];
}

export function toHex([r, g, b]: Rgb): string {
  const part = (v: number) =>
    Math.round(Math.min(1, Math.max(0, v)) * 255)
      .toString(16)
      .padStart(2, '0');
  return `#${part(r)}${part(g)}${part(b)}`;
}

const toLinear = (v: number) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const toGamma = (v: number) => (v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055);

export function luminance(hex: string): number {
  const [r, g, b] = parseHex(hex).map(toLinear) as unknown as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2 contrast ratio of two opaque colours. */
export function contrast(a: string, b: string): number {
  const la = luminance(a);
  const lb = luminance(b);
  return (Math.max(la, lb) + 0.05) / (Math.min(la, lb) + 0.05);
}

const MATRICES: Record<Exclude<Deficiency, 'none'>, readonly number[]> = {
  protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritan: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};

export function simulate(rgb: Rgb, kind: Deficiency): Rgb {
  if (kind === 'none') return rgb;
  const m = MATRICES[kind];
  const [r, g, b] = rgb.map(toLinear) as unknown as Rgb;
  const row = (i: number) =>
    toGamma(Math.min(1, Math.max(0, (m[i] ?? 0) * r + (m[i + 1] ?? 0) * g + (m[i + 2] ?? 0) * b)));
  return [row(0), row(3), row(6)];
}

/** CIE Lab under D65. */
export function toLab(rgb: Rgb): Rgb {
  const [r, g, b] = rgb.map(toLinear) as unknown as Rgb;
  const f = (t: number) => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27 / 116) * t + 16 / 116);
  const x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = f(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const RAD = Math.PI / 180;

export function deltaE2000(a: Rgb, b: Rgb): number {
  const [l1, a1, b1] = a;
  const [l2, a2, b2] = b;
  const cMean = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2;
  const g = 0.5 * (1 - Math.sqrt(cMean ** 7 / (cMean ** 7 + 25 ** 7)));
  const a1p = a1 * (1 + g);
  const a2p = a2 * (1 + g);
  const c1 = Math.hypot(a1p, b1);
  const c2 = Math.hypot(a2p, b2);
  const hue = (y: number, x: number) => (x === 0 && y === 0 ? 0 : (Math.atan2(y, x) / RAD + 360) % 360);
  const h1 = hue(b1, a1p);
  const h2 = hue(b2, a2p);
  const dL = l2 - l1;
  const dC = c2 - c1;
  let dh = h2 - h1;
  if (c1 * c2 === 0) dh = 0;
  else if (dh > 180) dh -= 360;
  else if (dh < -180) dh += 360;
  const dH = 2 * Math.sqrt(c1 * c2) * Math.sin((dh / 2) * RAD);
  const lM = (l1 + l2) / 2;
  const cM = (c1 + c2) / 2;
  let hM = h1 + h2;
  if (c1 * c2 !== 0) {
    if (Math.abs(h1 - h2) <= 180) hM = hM / 2;
    else hM = hM < 360 ? (hM + 360) / 2 : (hM - 360) / 2;
  }
  const t =
    1 -
    0.17 * Math.cos((hM - 30) * RAD) +
    0.24 * Math.cos(2 * hM * RAD) +
    0.32 * Math.cos((3 * hM + 6) * RAD) -
    0.2 * Math.cos((4 * hM - 63) * RAD);
  const sL = 1 + (0.015 * (lM - 50) ** 2) / Math.sqrt(20 + (lM - 50) ** 2);
  const sC = 1 + 0.045 * cM;
  const sH = 1 + 0.015 * cM * t;
  const rC = 2 * Math.sqrt(cM ** 7 / (cM ** 7 + 25 ** 7));
  const rT = -rC * Math.sin(60 * Math.exp(-(((hM - 275) / 25) ** 2)) * RAD);
  return Math.sqrt((dL / sL) ** 2 + (dC / sC) ** 2 + (dH / sH) ** 2 + rT * (dC / sC) * (dH / sH));
}

/** Smallest ΔE2000 between any two of the colours, over normal and the three simulated visions. */
export function worstDistance(colours: readonly string[]): number {
  let worst = Number.POSITIVE_INFINITY;
  for (const kind of ['none', 'protan', 'deutan', 'tritan'] as const) {
    const labs = colours.map((hex) => toLab(simulate(parseHex(hex), kind)));
    for (let i = 0; i < labs.length; i++)
      for (let j = i + 1; j < labs.length; j++) worst = Math.min(worst, deltaE2000(labs[i] as Rgb, labs[j] as Rgb));
  }
  return worst;
}
