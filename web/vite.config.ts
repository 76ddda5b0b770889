// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { firstPaint, licencesJson, runtimeBasePath, serviceWorker, tokensCss } from './tools/vitePlugins';

export default defineConfig({
  base: './',
  plugins: [react(), tokensCss(), licencesJson(), firstPaint(), serviceWorker(), runtimeBasePath()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
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
    // `--coverage` (as `npm test` does) prints what of the sources the tests ran through.
    coverage: { provider: 'v8', reporter: ['text-summary'], include: ['src/**/*.{ts,tsx}'] },
  },
});
