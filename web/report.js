/* The script of report.html, which is in the file itself: the pictures over the epochs, drawn as /training
 * draws them. What they are drawn from is in the file too (server/report/report_held.c), as JSON. */

import { $ } from './training/dom.js';
import { showGallery, startGallery } from './training/gallery.js';
import { useSource } from './training/server.js';

/** @typedef {import('./training/server.js').Picture} Picture */
/** @typedef {import('./training/server.js').Sight} Sight */

/** `jpegs` are in base64, `epochs` the epochs that were drawn, `sights` what was seen after each.
 * @type {{index: {pictures: Picture[]}, jpegs: string[], epochs: number[],
 *     sights: {pictures: Sight[]}[]}} */
const held = JSON.parse($('held').textContent ?? '');

/** @param {string} base64 */
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

useSource({
    pictures: async () => ({ pictures: held.index.pictures, epochs: held.epochs }),
    sights: async (_, epoch) => held.sights[held.epochs.indexOf(epoch)],
    picture: (_, number) =>
        createImageBitmap(new Blob([bytesOf(held.jpegs[number])], { type: 'image/jpeg' })),
});
startGallery();
void showGallery([{ name: '', colour: 'var(--c0)', pictures: true }]);
