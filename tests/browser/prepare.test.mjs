/* Tests the sizes at which pictures are sent, and boxes scaled back: node --test. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { page } from './support/page.mjs';

const prepare = await page('prepare.js');

test('a picture within the limits keeps its size', () => {
    assert.deepEqual(prepare.drawnSize({ width: 4000, height: 3000 }, 100e6),
        { width: 4000, height: 3000 });
});

test('a larger one fits them, and keeps its shape', () => {
    for (const [size, pixels] of [[{ width: 20000, height: 10000 }, 100e6],
        [{ width: 9000, height: 6000 }, 1e6], [{ width: 60000, height: 10 }, 100e6],
        [{ width: 5, height: 65535 }, 1000]]) {
        const drawn = prepare.drawnSize(size, pixels);
        assert.ok(drawn.width * drawn.height <= Math.min(pixels, 16777216));
        assert.ok(Math.max(drawn.width, drawn.height) <= 16384);
        assert.ok(Math.min(drawn.width, drawn.height) >= 1);
        if (size.width !== 5) assert.ok(Math.abs(drawn.width * size.height - drawn.height * size.width) <=
            Math.max(size.width, size.height) + 1);
    }
});

test('each try is smaller, and soon small enough', () => {
    let size = { width: 6000, height: 4000 };
    let tries = 0;
    /* Half a byte for each pixel, and 600 that are always there. */
    const bytes = () => size.width * size.height / 2 + 600;
    while (bytes() > 100000) {
        const next = prepare.smallerSize(size, bytes(), 100000);
        assert.ok(next.width < size.width && next.height < size.height);
        size = next;
        tries++;
    }
    assert.ok(tries <= 2);
});

test('a box of the copy covers in the original what it covers there', () => {
    const from = { width: 100, height: 60 };
    const to = { width: 333, height: 200 };
    for (const box of [{ x0: 0, y0: 0, x1: 99, y1: 59 }, { x0: 10, y0: 20, x1: 30, y1: 40 },
        { x0: 99, y0: 59, x1: 99, y1: 59 }]) {
        const scaled = prepare.boxBetweenSizes({ ...box, label: 'cat' }, from, to);
        assert.equal(scaled.label, 'cat');
        assert.ok(scaled.x0 * 100 <= box.x0 * 333 && (scaled.x0 + 1) * 100 > box.x0 * 333);
        assert.ok((scaled.x1 + 1) * 100 >= (box.x1 + 1) * 333 && scaled.x1 * 100 < (box.x1 + 1) * 333);
        assert.ok(scaled.x1 < 333 && scaled.y1 < 200);
        const back = prepare.boxBetweenSizes(scaled, to, from);
        assert.ok(Math.abs(back.x0 - box.x0) <= 1 && Math.abs(back.y1 - box.y1) <= 1);
    }
    assert.deepEqual(prepare.boxBetweenSizes({ x0: 5, y0: 5, x1: 5, y1: 5 }, to, { width: 2, height: 2 }),
        { x0: 0, y0: 0, x1: 0, y1: 0 });
});

test('what the server takes is sent as it is', async () => {
    const limits = { bodyBytes: 10, pixels: 100 };
    const file = new Blob(['0123456789']);
    const same = await prepare.sendableOf(file, 'image/png', limits);
    assert.equal(same.file, file);
    assert.equal(same.why, '');
});
