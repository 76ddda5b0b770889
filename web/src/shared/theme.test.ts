// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import tokens from '../../tokens/tokens.json';
import { contrast } from './charts/colourMath';
import { dress, resolvePrefs, schemeOf, withServer } from './prefsModel';

const resolve = (over: Partial<Parameters<typeof resolvePrefs>[0]> = {}) =>
  resolvePrefs({ stored: null, server: null, search: '', browserLanguage: 'en-GB', ...over });
const system =
  (...true_: string[]) =>
  (query: string) =>
    true_.some((part) => query.includes(part));

describe('which choice wins', () => {
  it('the address over the server over this browser over the system', () => {
    expect(resolve()).toMatchObject({ theme: 'system', language: 'en', density: 'compact', singleKeys: true });
    expect(resolve({ browserLanguage: 'es-MX' }).language).toBe('es');
    const stored = JSON.stringify({ theme: 'light', language: 'es', density: 'cosy', hour12: true });
    expect(resolve({ stored })).toMatchObject({ theme: 'light', language: 'es', density: 'cosy', hour12: true });
    const server = { theme: 'dark', language: '', hour12: null, density: 'compact', singleKeys: false };
    expect(resolve({ stored, server })).toMatchObject({
      theme: 'dark',
      language: 'es',
      density: 'compact',
      hour12: true,
      singleKeys: true,
    });
    expect(resolve({ stored, server, search: '?theme=contrast' }).theme).toBe('contrast');
    expect(resolve({ stored, server, search: '?theme=pink' }).theme).toBe('dark');
  });
  it('survives what another version or a person wrote', () => {
    expect(resolve({ stored: '{' })).toEqual(resolve());
    expect(resolve({ stored: '3' })).toEqual(resolve());
    expect(resolve({ stored: '{"theme":"pink","language":"fr","density":7}' })).toMatchObject({
      theme: 'system',
      language: 'en',
      density: 'compact',
    });
  });
  it('takes high contrast and density from the server, which keep what they are when it has none', () => {
    const own = resolve({ stored: '{"theme":"contrast","density":"cosy"}' });
    expect(withServer(own, { theme: 'light', timezone: 'utc' })).toMatchObject({ theme: 'light', density: 'cosy' });
    expect(withServer(own, { theme: '', density: '' })).toMatchObject({ theme: 'contrast', density: 'cosy' });
    expect(withServer(own, { theme: 'contrast' })).toMatchObject({ theme: 'contrast' });
  });
});

describe('the scheme', () => {
  it('follows the system until someone chooses', () => {
    expect(schemeOf('system', system())).toBe('dark');
    expect(schemeOf('system', system('light'))).toBe('light');
    expect(schemeOf('system', system('light', 'contrast: more'))).toBe('contrast');
    expect(schemeOf('light', system('contrast: more'))).toBe('light');
  });
  it('dresses the document', () => {
    const root = document.createElement('div');
    dress(root, 'contrast', { density: 'cosy', language: 'es' });
    expect(root.dataset).toMatchObject({ theme: 'contrast', mantineColorScheme: 'dark', density: 'cosy' });
    expect(root.lang).toBe('es');
    dress(root, 'light', { density: 'compact', language: 'en' });
    expect(root.dataset).toMatchObject({ theme: 'light', mantineColorScheme: 'light', density: 'compact' });
  });
});

describe('high contrast', () => {
  const { semantic, severity, component, series } = tokens.themes.contrast;
  const surfaces = [semantic.canvas, semantic.panel, semantic.raised, semantic.inset, semantic.hover];
  it('has text of at least 7:1 and lines of at least 4.5:1', () => {
    const texts = [semantic.text, semantic['text-2'], semantic['text-3'], semantic.accent, component.axis];
    const severities = Object.entries(severity).filter(([name]) => !name.endsWith('-soft'));
    for (const surface of surfaces) {
      for (const text of texts) expect(contrast(text, surface), `${text} on ${surface}`).toBeGreaterThanOrEqual(7);
      for (const [name, colour] of severities)
        expect(contrast(colour, surface), `${name} on ${surface}`).toBeGreaterThanOrEqual(7);
    }
    for (const line of [semantic.line, semantic['line-strong'], semantic.focus, component.crosshair])
      expect(contrast(line, semantic.panel), line).toBeGreaterThanOrEqual(4.5);
    for (const stroke of series) expect(contrast(stroke, semantic.panel), stroke).toBeGreaterThanOrEqual(4.5);
  });
});

describe('tokens', () => {
  it('are the same set in every theme and density', () => {
    const shape = (theme: object) => Object.entries(theme).map(([layer, values]) => [layer, Object.keys(values)]);
    for (const theme of Object.values(tokens.themes)) expect(shape(theme)).toEqual(shape(tokens.themes.dark));
    expect(Object.keys(tokens.density.cosy)).toEqual(Object.keys(tokens.density.compact));
  });
});
