/* Finding classes by what a person types. Run by `node --test`. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './support/page.mjs';

const { bestMatches } = await page('fuzzy.js');
const names = ['tench, Tinca tinca', 'African elephant, Loxodonta africana',
    'Indian elephant, Elephas maximus', 'car_side', 'Cardigan, Cardigan Welsh corgi', 'sports car',
    'café', 'crane', 'crane'];
const found = (text, most = 8) => bestMatches(text, names, most).map((index) => names[index]);

test('a part of a name finds it', () => {
    assert.deepEqual(found('elephant').sort(), [names[2], names[1]].sort());
    assert.deepEqual(found('elephant african'), [names[1]]);
    assert.deepEqual(found('ELEPHANT, IND'), [names[2]]);
    assert.deepEqual(found('car')[0], 'car_side');
    assert.ok(found('car').includes('sports car') && found('car').includes(names[4]));
    assert.deepEqual(found('car side'), ['car_side']);
    assert.deepEqual(found('cafe'), ['café']);
    assert.deepEqual(bestMatches('crane', names, 8), [7, 8]);
});

test('a letter may be wrong', () => {
    for (const text of ['elephnat', 'elefant', 'elephan', 'eleephant', 'elephbnt']) {
        assert.equal(found(text).length, text === 'elefant' ? 0 : 2, text);
    }
    assert.deepEqual(found('tnech'), [names[0]]);
    assert.deepEqual(found('zebra'), []);
    assert.deepEqual(found('', 3), names.slice(0, 3));
});

test('thousands of names take no time', () => {
    const many = Array.from({ length: 20000 }, (_, i) => `class number ${i}, thing`);
    const start = performance.now();
    assert.equal(bestMatches('numbr 19999', many, 8)[0], 19999);
    assert.ok(performance.now() - start < 2000);
});
