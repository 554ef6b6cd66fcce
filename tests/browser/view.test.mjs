/* The arithmetic of zoom and pan. Run by `node --test`. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './support/page.mjs';

const { place, toPicture, viewAt } = await page('view.js');
const pane = { width: 800, height: 600 };
const image = { width: 4000, height: 2000 };
const close = (a, b) => assert.ok(Math.abs(a - b) < 1e-6, `${a}, expected ${b}`);

test('the whole picture fits and is in the middle', () => {
    assert.deepEqual(place(pane, image, null), { left: 0, top: 100, scale: 0.2 });
    const tall = place(pane, { width: 100, height: 400 }, null);
    assert.deepEqual(tall, { left: 325, top: 0, scale: 1.5 });
    assert.equal(place(pane, { width: 3, height: 2 }, null).scale, 6);
});

test('what is under the pointer stays there', () => {
    let view = null;
    const at = { x: 450, y: 310 };
    const before = toPicture(place(pane, image, view), at);
    for (const factor of [2, 2, 1.7, 0.8]) {
        view = viewAt(pane, image, view, factor, at);
        const now = toPicture(place(pane, image, view), at);
        close(now.x, before.x);
        close(now.y, before.y);
    }
    assert.equal(viewAt(pane, image, view, 1e-9, at), null);
});

test('no gap opens at the edge, and a pixel is as large as can be', () => {
    let view = viewAt(pane, image, null, 10, { x: 0, y: 100 });
    const corner = place(pane, image, view);
    assert.ok(corner.left <= 0 && corner.left > -1e-6);
    assert.ok(corner.top <= 1e-6 && corner.top + image.height * corner.scale >= pane.height);
    view = viewAt(pane, image, view, 1e9, { x: 400, y: 300 });
    close(place(pane, image, view).scale, 64);
});
