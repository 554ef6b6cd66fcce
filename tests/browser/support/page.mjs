/* Older versions of Node load a .js file as a module only beside a package.json that says so. The
 * directory of the page has none, so the page's files are copied beside one. */

import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const web = fileURLToPath(new URL('../../../web/', import.meta.url));
const copy = mkdtempSync(join(tmpdir(), 'adl-page-'));
writeFileSync(join(copy, 'package.json'), '{"type": "module"}');
for (const name of readdirSync(web).filter((file) => file.endsWith('.js'))) {
    copyFileSync(join(web, name), join(copy, name));
}
process.on('exit', () => rmSync(copy, { recursive: true }));

/** One of the page's modules. @param {string} name */
export const page = (name) => import(pathToFileURL(join(copy, name)).href);
