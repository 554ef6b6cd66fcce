/* Compares the arithmetic of the page with values computed by OpenCV and the reference
 * evaluation code (tests/golden/metrics). Run by `node --test`. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { page } from './support/page.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

const {
    boxesFromMap, connectedComponents, foreground, largestComponent, levelLines, normalise,
    outlineArea, resizeBicubic, scaleBox, scoreMap, withConfidence,
} = await page('boxes.js');

function golden(name) {
    const path = join(here, '../golden/metrics', name);
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null;
}

/* The reference's boxes end one pixel later, except at the border of the map. */
function asReference(box, width, height) {
    return [box.x0, box.y0, Math.min(box.x1 + 1, width - 1), Math.min(box.y1 + 1, height - 1)];
}

test('bicubic resize and normalisation agree with OpenCV', (t) => {
    const cases = golden('resize_and_normalise.json');
    if (!cases) return t.skip('no golden file');
    for (const [number, c] of cases.entries()) {
        const values = c.map.flat().map((v) => v ?? NaN);
        const flat = values.every((v) => v === values[0]);
        const heatmap = { width: c.map[0].length, height: c.map.length, data: values };
        const out = scoreMap(heatmap, c.out_width, c.out_height);
        /* Of a constant map the reference gives stretched rounding errors, the page zeros. */
        const expected = c.resized_cubic_normalised.flat().map((v) => (flat ? 0 : v));
        assert.equal(out.length, expected.length);
        expected.forEach((v, i) => assert.ok(Math.abs(out[i] - v) < 2e-5,
            `map ${number}, value ${i}: ${out[i]}, expected ${v}`));
    }
});

test('raw maps are clipped after they are enlarged', (t) => {
    const cases = golden('resize_and_normalise.json');
    if (!cases) return t.skip('no golden file');
    for (const c of cases) {
        const raw = c.map.flat().map((v) => v ?? 0);
        if (raw.every((v) => v === raw[0])) continue;
        const [width, height] = [c.map[0].length, c.map.length];
        const large = resizeBicubic(raw, width, height, c.out_width, c.out_height);
        const out = scoreMap({ width, height, data: [], raw }, c.out_width, c.out_height);
        large.forEach((v, i) => assert.equal(out[i], v < 0 ? 0 : v > 1 ? 1 : v));
    }
});

test('boxes agree with the reference evaluation at every threshold', (t) => {
    const cases = golden('boxes.json');
    if (!cases) return t.skip('no golden file');
    for (const c of cases) {
        const { width, height, name } = c;
        const map = Array.from(Buffer.from(c.map_u8_base64, 'base64'), (byte) => byte / 255);
        c.thresholds.forEach((threshold, i) => {
            const found = connectedComponents(foreground(map, threshold), width, height);
            const best = largestComponent(found, width);
            const largest = best ? asReference(best, width, height) : [0, 0, 0, 0];
            assert.deepEqual(largest, c.largest[i][0], `${name} at ${threshold}, largest`);

            /* The reference also lists the rims of holes; each of ours must be there. */
            const all = new Set(c.all[i].map(String));
            for (const box of found.components) {
                assert.ok(all.has(String(asReference(box, width, height))),
                    `${name} at ${threshold}: ${JSON.stringify(box)}`);
            }
        });
    }
});

test('outline areas agree with contourArea', (t) => {
    const answer = golden('contours.json');
    if (!answer) return t.skip('no golden file');
    for (const c of answer.cases) {
        const rows = c.rows.map((row) => [...row].map(Number));
        const width = rows[0].length;
        const { components, labels } = connectedComponents(rows.flat(), width, rows.length);
        const ours = components.map((component) => [component.x0, component.y0,
            component.x1 - component.x0 + 1, component.y1 - component.y0 + 1,
            outlineArea(labels, width, component)].join());
        const theirs = c.contours.filter((contour) => !contour.hole)
            .map((contour) => [...contour.rect, contour.area].join());
        assert.deepEqual(ours.sort(), theirs.sort(), c.name);
        const best = largestComponent({ components, labels }, width);
        const expected = c.contours[c.largest]?.rect;
        assert.deepEqual(best && [best.x0, best.y0, best.x1 - best.x0 + 1, best.y1 - best.y0 + 1],
            expected ?? null, c.name);
    }
});

test('a resize to the same size changes nothing', () => {
    const map = Array.from({ length: 35 }, (_, i) => (i * 7919) % 13);
    const out = resizeBicubic(map, 5, 7, 5, 7);
    map.forEach((v, i) => assert.ok(Math.abs(out[i] - v) < 1e-12));
});

test('a flat map, or one with a NaN, has no boxes', () => {
    for (const map of [[3, 3, 3, 3], [0, NaN, 1, 2], []]) {
        assert.deepEqual(normalise(map.slice()), map.map(() => 0));
    }
    assert.deepEqual(boxesFromMap([0, 0, 0, 0], 2, 2, 0.3, true), []);
});

test('the score is the mean inside, the largest box comes first', () => {
    const map = [
        0.5, 0.6, 0, 0,
        0.5, 0.6, 0, 0,
        0, 0, 0, 1,
    ];
    const boxes = boxesFromMap(map, 4, 3, 0.2, true);
    assert.equal(boxes.length, 2);
    assert.deepEqual(boxes[1], { x0: 3, y0: 2, x1: 3, y1: 2, score: 1 });
    assert.ok(Math.abs(boxes[0].score - 0.55) < 1e-12);
    assert.deepEqual(boxesFromMap(map, 4, 3, 0.2, false).map((b) => b.x1), [1]);
});

test('boxes scale to the pixels they cover, ends inclusive', () => {
    assert.deepEqual(scaleBox({ x0: 0, y0: 0, x1: 223, y1: 223 }, 224, 224, 500, 375),
        { x0: 0, y0: 0, x1: 499, y1: 374 });
    assert.deepEqual(scaleBox({ x0: 1, y0: 1, x1: 1, y1: 1 }, 4, 4, 8, 2),
        { x0: 2, y0: 0, x1: 3, y1: 0 });
});

test('level lines close around every region and stay in the map', () => {
    const map = [1, 0, 0, 0, 0, 0, 0, 0, 0.8];
    const lines = levelLines(map, 3, 3, 0.5);
    const ends = new Map();
    assert.equal(lines.length % 4, 0);
    for (let i = 0; i < lines.length; i += 2) {
        const [x, y] = [lines[i], lines[i + 1]];
        assert.ok(x >= 0 && x <= 3 && y >= 0 && y <= 3);
        ends.set(`${x},${y}`, (ends.get(`${x},${y}`) || 0) + 1);
    }
    assert.ok([...ends.values()].every((count) => count % 2 === 0));
    assert.ok(lines.length >= 8 * 4);
    /* Regions that are not asked for have none. */
    const last = levelLines(map, 3, 3, 0.5, (pixel) => pixel === 8);
    assert.ok(last.length > 0 && last.length < lines.length);
    assert.ok(last.every((v) => v >= 2));
});

test('a box has a confidence only if the server gave one to the same box', () => {
    const box = { x0: 1, y0: 2, x1: 3, y1: 4, score: 0.5 };
    const other = { ...box, x1: 5 };
    assert.deepEqual(withConfidence([box], [{ ...box, confidence: 0.8 }]),
        [{ ...box, confidence: 0.8 }]);
    assert.deepEqual(withConfidence([other], [{ ...box, confidence: 0.8 }]), [other]);
    assert.deepEqual(withConfidence([box, other], [{ ...box, confidence: 0.8 }]), [box, other]);
    assert.deepEqual(withConfidence([box], [box]), [box]);
    assert.deepEqual(withConfidence([], []), []);
});
