// Unpacks the browser and its libraries into a folder, once: `node unpack.mjs FOLDER`. The package's own launcher would
// unpack into /tmp, which all users share, and takes its libraries on one cloud only.
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar-fs';

const target = process.argv[2];
if (!target) throw new Error('Say into which folder');
const packed = join(import.meta.dirname, 'node_modules/@sparticuz/chromium/bin');
const unfinished = `${target}.unfinished`;

await rm(unfinished, { recursive: true, force: true });
await mkdir(unfinished, { recursive: true });
for (const name of ['al2023', 'fonts', 'swiftshader']) {
  await pipeline(createReadStream(join(packed, `${name}.tar.br`)), createBrotliDecompress(), extract(unfinished));
}
const binary = join(unfinished, 'chromium');
await pipeline(createReadStream(join(packed, 'chromium.br')), createBrotliDecompress(), createWriteStream(binary));
await chmod(binary, 0o755);
// Its own settings name /tmp: the fonts are those beside it, so that pictures look alike on every machine.
await writeFile(
  join(unfinished, 'fonts.conf'),
  `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>${target}/fonts</dir>` +
    // They have no rupee sign; a machine's own fonts may.
    `<dir>/usr/share/fonts</dir><cachedir>${target}/cache</cachedir></fontconfig>`,
);
await rm(target, { recursive: true, force: true });
await rename(unfinished, target);
