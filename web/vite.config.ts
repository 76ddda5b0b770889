// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { firstPaint, licencesJson, runtimeBasePath, serviceWorker, tokensCss } from './tools/vitePlugins';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Scripts that are nothing without a browser: hooks, what draws or listens, and what starts the page. */
const DRIVERS =
  'use*|view|overlay|tooltip|main|styles|firstPaint|registerWorker|serviceWorker|offline|worker|mantineTheme';
/** Pure logic, and components with what moves them. Every source file is in one of the two. */
const LOGIC = `src/**/!(${DRIVERS}).ts`;
const COMPONENTS = `src/**/{*.tsx,@(${DRIVERS}).ts}`;

export default defineConfig({
  base: './',
  plugins: [react(), tokensCss(), licencesJson(), firstPaint(), serviceWorker(), runtimeBasePath()],
  resolve: { alias: { '@': here('./src') } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: 'manifest.build.json',
    sourcemap: false,
    rolldownOptions: {
      input: ['index.html', 'offline.html'],
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
              test: /src\/shared\/(api|i18n|keys|url|store|prefs|prefsModel|theme|a11y|units|ui\/(Page|Panel|IconButton|Dropdown|MenuList|Severity|Message|CopyButton|clipboard|DataRegion|Meter)|time\/(zone|math|range|format|label|quickRanges|recent|useTime|TimeBar)|live)|@tabler\/icons-react\/dist\/esm\/(createReactComponent|defaultAttributes)/,
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
    // Whole pages are shown: on a busy machine that takes its time.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    alias: [
      // One file in place of six thousand.
      {
        find: '@tabler/icons-react',
        replacement: here('./node_modules/@tabler/icons-react/dist/cjs/tabler-icons-react.cjs'),
      },
      {
        find: /^@prometheus-io\/codemirror-promql$/,
        replacement: here('./node_modules/@prometheus-io/codemirror-promql/dist/esm/index.js'),
      },
    ],
    // One copy of the editor, as in the page.
    server: { deps: { inline: [/codemirror/, /lezer/] } },
    // `--coverage` (as `npm test` does) fails below these figures.
    coverage: {
      provider: 'v8',
      reporter: ['text-summary'],
      include: ['src/**/*.{ts,tsx}'],
      exclude: ['src/**/*.d.ts', 'src/**/*.test.{ts,tsx}', 'src/shared/testing/**'],
      thresholds: { [LOGIC]: { lines: 95 }, [COMPONENTS]: { lines: 80 } },
    },
  },
});
