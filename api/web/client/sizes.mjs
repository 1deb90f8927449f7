// Holds the bundle to its budget (in gzip): `node sizes.mjs DIST`. First load: the page, its style and its first script.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const dist = process.argv[2];
if (!dist) throw new Error('Say which folder');
const KB = 1000;
const BUDGET = { 'first load': 60 * KB, chart: 60 * KB, everything: 150 * KB };

const names = readdirSync(dist, { recursive: true }).filter((name) =>
  /\.(html|css|js|svg|webmanifest)$/.test(name),
);
const size = (name) => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;
const sum = (some) => some.reduce((total, name) => total + size(name), 0);
const page = readFileSync(join(dist, 'index.html'), 'utf8');

const measured = {
  'first load': sum(names.filter((name) => name === 'index.html' || page.includes(`/app/${name}`))),
  chart: sum(names.filter((name) => /assets\/(PriceChart|lightweight)/.test(name))),
  everything: sum(names),
};
let over = false;
for (const [what, bytes] of Object.entries(measured)) {
  const tooMuch = bytes > BUDGET[what];
  over ||= tooMuch;
  console.log(`${what}: ${(bytes / KB).toFixed(1)} kB of ${BUDGET[what] / KB}${tooMuch ? ': too much' : ''}`);
}
process.exit(over ? 1 : 0);
