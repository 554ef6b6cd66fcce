/* Tests the geometry of drawn boxes by counting pixels and by properties: node --test. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { page } from './support/page.mjs';

const boxes = await page('geometry.js');
const { bestOverlap, overlap } = await page('boxes.js');

const size = { width: 40, height: 30 };

/* A small generator of numbers, so that a failure can be repeated (Lehmer, 1951: 48271). */
function numbers(seed) {
    let at = seed;
    return (below) => {
        at = (at * 48271) % 2147483647;
        return at % below;
    };
}

function randomBox(next) {
    return boxes.boxBetween(next(41), next(31), next(41), next(31), size);
}

const valid = (box) => Object.values(box).every(Number.isInteger) && box.x0 >= 0 && box.y0 >= 0 &&
    box.x1 < size.width && box.y1 < size.height &&
    box.x1 - box.x0 + 1 >= boxes.LEAST_SIDE && box.y1 - box.y0 + 1 >= boxes.LEAST_SIDE;

test('the IoU is that of counted pixels', () => {
    const next = numbers(1);
    const inside = (box, x, y) => x >= box.x0 && x <= box.x1 && y >= box.y0 && y <= box.y1;
    for (let round = 0; round < 200; round++) {
        const a = randomBox(next);
        const b = randomBox(next);
        let both = 0;
        let any = 0;
        for (let y = 0; y < size.height; y++) {
            for (let x = 0; x < size.width; x++) {
                both += Number(inside(a, x, y) && inside(b, x, y));
                any += Number(inside(a, x, y) || inside(b, x, y));
            }
        }
        assert.ok(Math.abs(overlap(a, b) - both / any) < 1e-12);
    }
    assert.equal(overlap({ x0: 0, y0: 0, x1: 9, y1: 9 }, { x0: 10, y0: 0, x1: 19, y1: 9 }), 0);
    assert.equal(bestOverlap({ x0: 0, y0: 0, x1: 9, y1: 9 }, []), null);
});

test('a drawn box covers the pixels between the two points, whatever their order', () => {
    const box = { x0: 3, y0: 4, x1: 9, y1: 19 };
    assert.deepEqual(boxes.boxBetween(3.2, 4.4, 9.6, 20.3, size), box);
    assert.deepEqual(boxes.boxBetween(9.6, 20.3, 3.2, 4.4, size), box);
    assert.deepEqual(boxes.boxBetween(-50, -50, 500, 500, size), { x0: 0, y0: 0, x1: 39, y1: 29 });
    assert.deepEqual(boxes.boxBetween(40, 30, 40, 30, size), { x0: 38, y0: 28, x1: 39, y1: 29 });
    assert.deepEqual(boxes.boxBetween(0, 0, 9, 9, { width: 1, height: 1 }),
        { x0: 0, y0: 0, x1: 0, y1: 0 });
    assert.equal(boxes.clampBox({ x0: 0, y0: NaN, x1: 3, y1: 3 }, size), null);
    assert.deepEqual(boxes.clampBox({ x0: -5, y0: 2, x1: 99, y1: 8 }, size),
        { x0: 0, y0: 2, x1: 39, y1: 8 });
});

test('a moved box keeps its size and stays in the picture', () => {
    const next = numbers(2);
    for (let round = 0; round < 200; round++) {
        const box = randomBox(next);
        const moved = boxes.moveBox(box, next(200) - 100, next(200) - 100, size);
        assert.ok(valid(moved));
        assert.equal(boxes.areaOf(moved), boxes.areaOf(box));
        assert.equal(moved.x1 - moved.x0, box.x1 - box.x0);
    }
    assert.deepEqual(boxes.moveBox({ x0: 1, y0: 1, x1: 5, y1: 5 }, 2.4, -9, size),
        { x0: 3, y0: 0, x1: 7, y1: 4 });
});

test('a handle moves its edges alone', () => {
    const box = { x0: 10, y0: 10, x1: 19, y1: 19, label: 'cat' };
    assert.deepEqual(boxes.resizeBox(box, 'se', 30, 25, size),
        { box: { x0: 10, y0: 10, x1: 29, y1: 24, label: 'cat' }, handle: 'se' });
    assert.deepEqual(boxes.resizeBox(box, 'n', 99, 4, size),
        { box: { x0: 10, y0: 4, x1: 19, y1: 19, label: 'cat' }, handle: 'n' });
    const next = numbers(3);
    for (let round = 0; round < 400; round++) {
        const before = randomBox(next);
        const handle = boxes.HANDLES[next(8)];
        const { box: after, handle: held } = boxes.resizeBox(before, handle, next(60) - 10,
            next(50) - 10, size);
        assert.ok(valid(after));
        assert.equal(held.length, handle.length);
        if (!/[ew]/.test(handle)) {
            assert.deepEqual([after.x0, after.x1], [before.x0, before.x1]);
        }
        if (!/[ns]/.test(handle)) {
            assert.deepEqual([after.y0, after.y1], [before.y0, before.y1]);
        }
    }
});

test('dragged across the opposite edge, a box turns over and the other handle is held', () => {
    const box = { x0: 10, y0: 10, x1: 19, y1: 19 };
    assert.deepEqual(boxes.resizeBox(box, 'nw', 30, 12, size),
        { box: { x0: 20, y0: 12, x1: 29, y1: 19 }, handle: 'ne' });
    assert.deepEqual(boxes.resizeBox(box, 's', 0, 2, size),
        { box: { x0: 10, y0: 2, x1: 19, y1: 9 }, handle: 'n' });
});

test('arrow keys move one edge and leave two pixels', () => {
    const box = { x0: 10, y0: 10, x1: 12, y1: 12 };
    assert.deepEqual(boxes.nudgeEdge(box, 'e', 5, size), { ...box, x1: 17 });
    assert.deepEqual(boxes.nudgeEdge(box, 'e', -5, size), { ...box, x1: 11 });
    assert.deepEqual(boxes.nudgeEdge(box, 'w', 99, size), { ...box, x0: 0 });
    assert.deepEqual(boxes.nudgeEdge(box, 'n', -9, size), { ...box, y0: 11 });
    assert.deepEqual(boxes.nudgeEdge(box, 's', 99, size), { ...box, y1: 29 });
});

test('every handle is found where it is drawn', () => {
    const box = { x0: 5, y0: 5, x1: 24, y1: 19 };
    for (const [handle, [x, y]] of Object.entries(boxes.handlePoints(box))) {
        assert.equal(boxes.handleAt(box, x, y, 2), handle);
        assert.deepEqual(boxes.boxAt([box], 0, x, y, 2), { index: 0, part: handle });
    }
    assert.equal(boxes.handleAt(box, 15, 12, 2), '');
    assert.equal(boxes.handleAt(box, 40, 12, 2), '');
});

test('a small box inside a large one can be taken', () => {
    const list = [{ x0: 0, y0: 0, x1: 39, y1: 29 }, { x0: 10, y0: 10, x1: 14, y1: 14 }];
    assert.deepEqual(boxes.boxAt(list, -1, 12, 12, 1), { index: 1, part: 'inside' });
    assert.deepEqual(boxes.boxAt(list, 0, 12, 12, 1), { index: 1, part: 'inside' });
    assert.deepEqual(boxes.boxAt(list, 0, 30, 20, 1), { index: 0, part: 'inside' });
    assert.equal(boxes.boxAt([list[1]], -1, 30, 20, 1), null);
    /* A box of a few pixels under a thick finger can still be moved, not only resized. */
    assert.equal(boxes.boxAt([list[1]], 0, 12.5, 12.5, 2).part, 'inside');
});
