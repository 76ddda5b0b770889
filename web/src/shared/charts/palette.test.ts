// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import tokens from '../../../tokens/tokens.json';
import { contrast, deltaE2000, parseHex, toHex, toLab, worstDistance } from './colourMath';

const THEMES = ['dark', 'light', 'contrast'] as const;

describe('colour arithmetic', () => {
  it('agrees with published CIEDE2000 pairs (Sharma, Wu, Dalal 2005)', () => {
    expect(deltaE2000([50, 2.6772, -79.7751], [50, 0, -82.7485])).toBeCloseTo(2.0425, 4);
    expect(deltaE2000([50, 2.5, 0], [73, 25, -18])).toBeCloseTo(27.1492, 4);
    expect(deltaE2000([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387])).toBeCloseTo(1.2644, 4);
    expect(deltaE2000([2.0776, 0.0795, -1.135], [0.9033, -0.0636, -0.5514])).toBeCloseTo(0.9082, 4);
  });
  it('knows contrast and goes to hex and back', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
    expect(toHex(parseHex('#5d80ff'))).toBe('#5d80ff');
  });
});

describe.each(THEMES)('tokens, %s', (theme) => {
  const { semantic, severity, component, series } = tokens.themes[theme];
  const surfaces = [semantic.canvas, semantic.panel, semantic.raised, semantic.inset, semantic.hover];

  it('text is readable on every surface', () => {
    for (const text of [semantic.text, semantic['text-2'], semantic['text-3'], semantic.accent])
      for (const surface of surfaces)
        expect(contrast(text, surface), `${text} on ${surface}`).toBeGreaterThanOrEqual(4.5);
    for (const text of [semantic.text, semantic['text-2'], semantic.accent])
      for (const surface of [semantic.selected, semantic['accent-soft']])
        expect(contrast(text, surface), `${text} on ${surface}`).toBeGreaterThanOrEqual(4.5);
    expect(contrast(semantic['on-accent'], semantic['accent-fill'])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(semantic['on-accent'], semantic['accent-fill-hover'])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(component['on-danger'], component.danger)).toBeGreaterThanOrEqual(4.5);
  });

  it('severities are readable as text, on panels and on their own soft ground', () => {
    for (const [name, colour] of Object.entries(severity)) {
      if (name.endsWith('-soft')) continue;
      for (const surface of [semantic.canvas, semantic.panel, semantic.raised])
        expect(contrast(colour, surface), `${name} on ${surface}`).toBeGreaterThanOrEqual(4.5);
      const soft = (severity as Record<string, string>)[`${name}-soft`];
      if (soft) {
        expect(contrast(colour, soft), `${name} on its ground`).toBeGreaterThanOrEqual(4.5);
        expect(contrast(semantic.text, soft), `text on ${name}`).toBeGreaterThanOrEqual(4.5);
      }
    }
  });

  it('code is readable in the editor', () => {
    for (const [name, colour] of Object.entries(component))
      if (name.startsWith('syntax-'))
        for (const surface of [semantic.inset, semantic.panel])
          expect(contrast(colour, surface), `${name} on ${surface}`).toBeGreaterThanOrEqual(4.5);
  });

  it('borders of fields, axes and focus rings are visible', () => {
    for (const colour of [semantic['line-strong'], semantic.focus, component.axis, component.crosshair, component.rest])
      expect(contrast(colour, semantic.panel), colour).toBeGreaterThanOrEqual(3);
  });

  it('tocayo-12: every stroke stands out, and the first eight can be told apart by everybody', () => {
    expect(series).toHaveLength(12);
    for (const colour of series) expect(contrast(colour, semantic.panel), colour).toBeGreaterThanOrEqual(3);
    expect(worstDistance(series.slice(0, 8))).toBeGreaterThanOrEqual(12);
    const lightness = series.map((c) => toLab(parseHex(c))[0]);
    for (let i = 0; i + 1 < lightness.length; i++) {
      const [a, b] = [lightness[i] as number, lightness[i + 1] as number];
      expect(i % 2 === 0 ? a < b : a > b, `lightness alternates at ${i}`).toBe(true);
    }
  });
});
