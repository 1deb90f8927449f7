import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

/** Where `npm run dev` finds the API; the built bundle is served by the API itself. */
const API = process.env['TRADEACTORS_API'] ?? 'http://127.0.0.1:8000';
const ROOMS = [
  'app/config',
  'auth',
  'broker',
  'instruments',
  'market',
  'notifications',
  'orders',
  'panic',
  'push',
].concat(['readiness', 'risk', 'schedule', 'strategy']);

/** That of the product, in whose folder the app is. */
const VERSION = /^version = "([^"]+)"/m.exec(readFileSync('../../../pyproject.toml', 'utf8'))?.[1];
if (!VERSION) throw new Error('pyproject.toml says no version');

/**
 * Tells the service worker which files make up this version. The version is a hash of their names and contents, so
 * that equal sources give an equal worker, byte for byte.
 */
function workerFiles(): Plugin {
  return {
    name: 'worker-files',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const worker = bundle['sw.js'];
        if (worker?.type !== 'chunk') throw new Error('The bundle has no worker');
        const hash = createHash('sha256');
        const still = readdirSync('public').filter((name) => !name.startsWith('.'));
        const files = [...Object.keys(bundle), ...still].filter((name) => name !== 'sw.js').sort();
        for (const name of files) {
          const file = bundle[name];
          if (file) hash.update(name).update(file.type === 'chunk' ? file.code : file.source);
          else hash.update(name).update(readFileSync(`public/${name}`));
        }
        worker.code = worker.code
          .replace('__VERSION__', hash.digest('hex').slice(0, 16))
          .replace('__FILES__', files.join(' '));
      },
    },
  };
}

export default defineConfig({
  base: '/app/',
  define: { __APP_VERSION__: JSON.stringify(VERSION) },
  plugins: [svelte(), workerFiles()],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { app: 'index.html', worker: 'src/worker/worker.ts' },
      output: {
        entryFileNames: (chunk) => (chunk.name === 'worker' ? 'sw.js' : 'assets/[name]-[hash].js'),
        chunkFileNames: 'assets/[name]-[hash].js',
        // What every start needs in one file, and one for each group of pages: many small files pack worse, and cost a
        // request each.
        codeSplitting: {
          groups: [
            {
              name: 'core',
              test: /preload-helper|node_modules.(svelte|esm-env|openapi|eventsource)|.src.(ui|api|domain(?!.samples)|state|today|shell|broker.(BrokerLogin|ConnectPaper)|panic.Forbidden|strategies.(St[ao]|Preview|StrategyCard))/,
              priority: 9,
            },
            { name: 'strategies', test: /.src.(strategies|broker|panic)./ },
            ...['account', 'notices', 'plans'].map((room) => ({
              name: room,
              test: new RegExp(`/src/${room}/`),
            })),
          ],
        },
        assetFileNames: 'assets/[name]-[hash][extname]',
      },
    },
  },
  server: {
    proxy: Object.fromEntries(ROOMS.map((room) => [`/${room}`, { target: API, changeOrigin: false }])),
  },
});
