// SPDX-License-Identifier: Apache-2.0
// What the build adds to Vite: tokens as CSS, the licence list, the script before the first paint, the service worker.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import type { Plugin } from 'vite';
import { NOT_BUNDLED, shippedPackages } from './licences.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const tokensPath = `${root}tokens/tokens.json`;

type Layer = Record<string, string>;
interface Tokens {
  space: Layer;
  size: Layer;
  density: Record<string, Layer>;
  themes: Record<string, { semantic: Layer; severity: Layer; component: Layer; series: string[] }>;
}

const block = (selector: string, vars: Layer) =>
  `${selector}{${Object.entries(vars)
    .map(([k, v]) => `--${k}:${v}`)
    .join(';')}}`;

/** Every token as a CSS variable: dark and compact without an attribute, the others by theirs. */
export function tokensText(tokens: Tokens): string {
  const theme = (name: string) => {
    const t = tokens.themes[name];
    if (!t) throw new Error(`tokens.json has no theme ${name}`);
    const prefix = (p: string, l: Layer) => Object.fromEntries(Object.entries(l).map(([k, v]) => [`${p}-${k}`, v]));
    const series = Object.fromEntries(t.series.map((c, i) => [`series-${i + 1}`, c]));
    return { ...prefix('c', t.semantic), ...prefix('sev', t.severity), ...prefix('k', t.component), ...series };
  };
  return [
    block(':root', { ...tokens.space, ...tokens.size, ...tokens.density.compact }),
    block('[data-density="cosy"]', tokens.density.cosy ?? {}),
    ...Object.keys(tokens.themes).map((name) =>
      block(name === 'dark' ? ':root,[data-theme="dark"]' : `[data-theme="${name}"]`, theme(name)),
    ),
  ].join('\n');
}

/** Turns tokens/tokens.json into CSS variables, so that the page and the server's own charts read one file. */
export function tokensCss(): Plugin {
  const id = 'virtual:tokens.css';
  return {
    name: 'tocayo-tokens',
    resolveId: (source) => (source === id ? `\0${id}` : undefined),
    load(resolved) {
      if (resolved !== `\0${id}`) return undefined;
      this.addWatchFile(tokensPath);
      return tokensText(JSON.parse(readFileSync(tokensPath, 'utf8')) as Tokens);
    },
  };
}

/** Licences of what is shipped, for the page that shows them. */
export function licencesJson(): Plugin {
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

/** A script of its own, with everything it imports, as one classic script. */
async function classicScript(file: string): Promise<string> {
  const bundle = await rolldown({ input: `${root}${file}`, logLevel: 'warn' });
  const { output } = await bundle.generate({ format: 'iife', minify: true });
  await bundle.close();
  return output[0].code;
}

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 8);

/** firstPaint.ts before everything else in the head of both documents. */
export function firstPaint(): Plugin {
  let name = '';
  return {
    name: 'tocayo-first-paint',
    apply: 'build',
    async buildStart() {
      const source = await classicScript('src/app/firstPaint.ts');
      name = `assets/first-paint-${hashOf(source)}.js`;
      this.emitFile({ type: 'asset', fileName: name, source });
    },
    transformIndexHtml: {
      order: 'post',
      handler: (html) => html.replace('<!-- first-paint -->', `<script src="./${name}"></script>`),
    },
  };
}

/** The server knows its base path only at run time, and the page may be opened at any depth. */
export function runtimeBasePath(): Plugin {
  return {
    name: 'tocayo-base-path',
    apply: 'build',
    writeBundle(options) {
      for (const file of ['index.html', 'offline.html'].map((f) => `${options.dir}/${f}`))
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/"\.\/(?=[a-z])/g, '"__BASE_PATH__/'));
    },
  };
}

/** sw.js with the list of the shell's files; its text changes whenever one of them does. */
export function serviceWorker(): Plugin {
  return {
    name: 'tocayo-service-worker',
    apply: 'build',
    // After Vite has dropped the chunks that only held CSS: a name that is not there would fail the whole install.
    enforce: 'post',
    async generateBundle(_options, bundle) {
      const shell = new Set<string>();
      const add = (file: string) => {
        const chunk = bundle[file];
        if (!chunk || shell.has(file)) return;
        shell.add(file);
        if (chunk.type !== 'chunk') return;
        for (const next of [...chunk.imports, ...(chunk.viteMetadata?.importedCss ?? [])]) add(next);
      };
      for (const file of Object.values(bundle)) {
        if (file.type === 'chunk' && file.isEntry) add(file.fileName);
        if (/latin-wght-normal.*\.woff2$|first-paint|favicon/.test(file.fileName)) add(file.fileName);
      }
      const files = [...shell].sort();
      const source = await classicScript('src/app/serviceWorker.ts');
      const offline = readFileSync(`${root}offline.html`, 'utf8');
      const version = hashOf(files.join('\n') + source + offline);
      this.emitFile({
        type: 'asset',
        fileName: 'sw.js',
        source: `self.shell=${JSON.stringify({ version, files: ['offline.html', ...files] })};${source}`,
      });
    },
  };
}
