// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { NOT_BUNDLED, shippedPackages } from './tools/licences.mjs';

const tokensPath = fileURLToPath(new URL('./tokens/tokens.json', import.meta.url));

type Layer = Record<string, string>;
interface Tokens {
  space: Layer;
  size: Layer;
  themes: Record<string, { semantic: Layer; severity: Layer; component: Layer; series: string[] }>;
}

/** Turns tokens/tokens.json into CSS variables, so that the page and the server's own charts read one file. */
function tokensCss(): Plugin {
  const id = 'virtual:tokens.css';
  const block = (selector: string, vars: Layer) =>
    `${selector}{${Object.entries(vars)
      .map(([k, v]) => `--${k}:${v}`)
      .join(';')}}`;
  return {
    name: 'tocayo-tokens',
    resolveId: (source) => (source === id ? `\0${id}` : undefined),
    load(resolved) {
      if (resolved !== `\0${id}`) return undefined;
      this.addWatchFile(tokensPath);
      const tokens = JSON.parse(readFileSync(tokensPath, 'utf8')) as Tokens;
      const theme = (name: string) => {
        const t = tokens.themes[name];
        if (!t) throw new Error(`tokens.json has no theme ${name}`);
        const prefix = (p: string, l: Layer) => Object.fromEntries(Object.entries(l).map(([k, v]) => [`${p}-${k}`, v]));
        const series = Object.fromEntries(t.series.map((c, i) => [`series-${i + 1}`, c]));
        return { ...prefix('c', t.semantic), ...prefix('sev', t.severity), ...prefix('k', t.component), ...series };
      };
      return [
        block(':root', { ...tokens.space, ...tokens.size }),
        block(':root,[data-mantine-color-scheme="dark"]', theme('dark')),
        block('[data-mantine-color-scheme="light"]', theme('light')),
      ].join('\n');
    },
  };
}

/** Licences of what is shipped, for the page that shows them. */
function licencesJson(): Plugin {
  const id = 'virtual:licences.json';
  return {
    name: 'tocayo-licences',
    resolveId: (source) => (source === id ? `\0${id}.js` : undefined),
    load: (resolved) => (resolved === `\0${id}.js` ? `export default ${JSON.stringify(shippedPackages())}` : undefined),
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle))
        if (chunk.type === 'chunk')
          for (const module of chunk.moduleIds)
            for (const name of NOT_BUNDLED)
              if (module.includes(`/node_modules/${name}/`))
                this.error(`${name} is bundled but not in the licence report`);
    },
  };
}

/** The server knows its base path only at run time, and the page may be opened at any depth. */
function runtimeBasePath(): Plugin {
  return {
    name: 'tocayo-base-path',
    apply: 'build',
    writeBundle(options) {
      const file = `${options.dir}/index.html`;
      writeFileSync(file, readFileSync(file, 'utf8').replaceAll('"./assets/', '"__BASE_PATH__/assets/'));
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [react(), tokensCss(), licencesJson(), runtimeBasePath()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: 'manifest.build.json',
    sourcemap: false,
    rolldownOptions: {
      output: {
        // Few files before the first page: browsers open six connections per origin.
        codeSplitting: {
          groups: [
            {
              name: 'vendor',
              test: /node_modules\/(react|react-dom|scheduler|@tanstack\/(router-core|react-router|history|store|react-store|query-core|react-query)|i18next|react-i18next|use-sync-external-store|tiny-invariant|tiny-warning|void-elements|html-parse-stringify|@babel\/runtime)\//,
              priority: 30,
            },
            {
              name: 'frame',
              test: /src\/shared\/(api|i18n|keys|url|store|prefs|theme|a11y|units|ui\/(Page|Panel|IconButton|Dropdown|MenuList|Severity|Message|CopyButton|clipboard|DataRegion|Meter)|time\/(zone|math|range|format|label|quickRanges|recent|useTime|TimeBar)|live)|@tabler\/icons-react\/dist\/esm\/(createReactComponent|defaultAttributes)/,
              priority: 20,
            },
          ],
        },
      },
    },
  },
  test: {
    environment: 'happy-dom',
    setupFiles: ['./src/shared/testing/setup.ts'],
    include: ['src/**/*.test.{ts,tsx}'],
    css: false,
  },
});
