/* What tells the pictures of a person apart. Run by `node --test`. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './support/page.mjs';

const { idOf } = await page('store.js');

/** A file of equal bytes, but for one part of it. */
function file(length, from = 0, to = 0) {
    const bytes = new Uint8Array(length).fill(255);
    bytes.fill(30, from, to);
    return new Blob([bytes]);
}

test('pictures that differ in the middle alone are two', async () => {
    /* A BMP of 640 x 480, and one of 2000 x 1500 where a twentieth of the lines differs. */
    for (const [length, from, to] of [[921654, 400000, 400003], [9000054, 4300000, 4750000]]) {
        const id = await idOf(file(length, from, to));
        assert.notEqual(id, await idOf(file(length)));
        assert.equal(id, await idOf(file(length, from, to)));
        assert.match(id, new RegExp(`^[0-9a-z]+-${length.toString(36)}$`));
    }
    /* Each byte of a small one, and the first and last of any. */
    for (const [length, at] of [[1, 0], [100, 99], [200000, 100000], [5000000, 0], [5000000, 4999999]]) {
        assert.notEqual(await idOf(file(length, at, at + 1)), await idOf(file(length)), `${length} ${at}`);
    }
});
