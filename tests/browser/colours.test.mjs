/* The colour maps: lightness grows evenly with the value, which is what makes a map of them honest.
 * Lightness is L* of CIELAB, from the definition of sRGB (IEC 61966-2-1). Run by `node --test`. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './support/page.mjs';

const { colourNames, colourTable, differenceWord, opacityOf } = await page('colours.js');

function lightness(r, g, b) {
    const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const y = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    return y > 216 / 24389 ? 116 * Math.cbrt(y) - 16 : y * 24389 / 27;
}

test('lightness grows evenly', () => {
    assert.ok(colourNames.length >= 3 && colourNames.includes('cividis'));
    for (const name of colourNames) {
        const table = colourTable(name);
        const all = Array.from({ length: 256 }, (_, i) => lightness(...table.subarray(i * 3, i * 3 + 3)));
        const even = (i) => all[0] + (all[255] - all[0]) * i / 255;
        assert.ok(all[255] - all[0] > 70, `${name} spans ${all[255] - all[0]}`);
        all.forEach((v, i) => {
            assert.ok(i === 0 || v > all[i - 1] - 0.3, `${name} at ${i}`);
            assert.ok(Math.abs(v - even(i)) < 6, `${name} at ${i}: ${v}, evenly ${even(i)}`);
        });
    }
    assert.deepEqual(colourTable('no such map'), colourTable('inferno'));
});

test('what is below the threshold fades, and a class that is not there does not glow', () => {
    assert.ok(opacityOf(0.5, 0.5, 1) > 2 * opacityOf(0.499, 0.5, 1));
    assert.ok(opacityOf(0.2, 0.5, 1) < opacityOf(0.4, 0.5, 1));
    assert.equal(opacityOf(0, 0.5, 1), 0);
    assert.ok(opacityOf(0.9, 0.5, 0.1) < 0.1);
});

test('no difference is transparent, and its sign is its colour', () => {
    assert.equal(differenceWord(0) >>> 24, 0);
    assert.equal(differenceWord(1) >>> 24, 255);
    assert.notEqual(differenceWord(0.5) & 0xffffff, differenceWord(-0.5) & 0xffffff);
    assert.equal(differenceWord(0.5) >>> 24, differenceWord(-0.5) >>> 24);
});
