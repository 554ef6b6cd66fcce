/* Tests the search for names: node --test. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { page } from './support/page.mjs';

const { bestMatches } = await page('match.js');

const names = ['tusker', 'Indian elephant', 'African elephant', 'elephant', 'red fox', 'fox squirrel',
    'C++ (book)', '개', '개구리', 'lion'];
const found = (text, most = 10) => bestMatches(text, names, most).map((index) => names[index]);

test('the best name comes first', () => {
    assert.deepEqual(found('elephant'), ['elephant', 'Indian elephant', 'African elephant']);
    assert.deepEqual(found('FOX'), ['fox squirrel', 'red fox']);
    assert.deepEqual(found('개'), ['개', '개구리']);
    assert.deepEqual(found('afel'), ['African elephant']);
    assert.equal(found('e', 1).length, 1);
});

test('a text is no pattern', () => {
    assert.deepEqual(found('c++'), ['C++ (book)']);
    assert.deepEqual(found('(book'), ['C++ (book)']);
    assert.deepEqual(found('.*'), []);
});

test('nothing typed finds nothing', () => {
    assert.deepEqual(found('  '), []);
    assert.deepEqual(found('zzz'), []);
});

test('thousands of names take no time', () => {
    const many = Array.from({ length: 20000 }, (_, i) => `class number ${i} of many`);
    const start = performance.now();
    assert.deepEqual(bestMatches('number 19999', many, 5), [19999]);
    assert.ok(performance.now() - start < 500);
});
