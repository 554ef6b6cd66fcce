/* Tests filter, order and view of the filmstrip: node --test. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { page } from './support/page.mjs';

const order = await page('order.js');

const entries = [
    { name: 'a10.jpg', label: 'cat', score: 0.95, sure: 0.9, verdict: '' },
    { name: 'a9.jpg', label: 'dog', score: 0.3, sure: 0.3, verdict: 'accepted' },
    { name: 'b.jpg', label: null, score: NaN, sure: NaN, verdict: '' },
    { name: 'a2.jpg', label: 'cat', score: 0.5, sure: 0.1, verdict: 'corrected' },
    { name: 'c.jpg', label: 'cat', score: 0.3, sure: 0.3, verdict: '' },
];
const names = (filter) => order.ordered(entries, { ...order.noFilter(), ...filter })
    .map((index) => entries[index].name);

test('without a filter everything is there, as it came', () => {
    assert.deepEqual(names({}), entries.map(({ name }) => name));
});

test('filters leave out, and can be combined', () => {
    assert.deepEqual(names({ label: 'cat' }), ['a10.jpg', 'a2.jpg', 'c.jpg']);
    assert.deepEqual(names({ label: 'cat', score: 'low' }), ['c.jpg']);
    assert.deepEqual(names({ score: 'middle' }), ['a2.jpg']);
    assert.deepEqual(names({ score: 'high' }), ['a10.jpg']);
    assert.deepEqual(names({ seen: 'open' }), ['a10.jpg', 'b.jpg', 'c.jpg']);
    assert.deepEqual(names({ seen: 'done' }), ['a9.jpg', 'a2.jpg']);
});

test('every score falls into one of the choices', () => {
    for (let score = 0; score <= 1; score += 0.01) {
        const fitting = Object.values(order.SCORES).filter(([low, high]) => score >= low && score < high);
        assert.equal(fitting.length, 1);
    }
});

test('the least certain come first, those without an answer last', () => {
    assert.deepEqual(names({ sort: 'certain' }), ['a2.jpg', 'a9.jpg', 'c.jpg', 'a10.jpg', 'b.jpg']);
});

test('numbers in names count as numbers', () => {
    assert.deepEqual(names({ sort: 'name' }), ['a2.jpg', 'a9.jpg', 'a10.jpg', 'b.jpg', 'c.jpg']);
});

test('labels are counted', () => {
    assert.deepEqual(order.labelCounts(entries), [['cat', 3], ['dog', 1]]);
});

test('the places in view are those that a pixel of them is seen of', () => {
    for (const [count, from, length, more] of [[500, 0, 800, 0], [500, 12345, 800, 3], [3, 0, 800, 2],
        [0, 0, 800, 2], [500, 49900, 800, 2], [500, 1e9, 800, 2]]) {
        const { first, end } = order.placesInView(count, 100, from, length, more);
        assert.ok(first >= 0 && end <= count && first <= end);
        for (let i = 0; i < count; i++) {
            const seen = i * 100 < from + length && (i + 1) * 100 > from;
            assert.ok(!seen || (i >= first && i < end));
        }
        assert.ok(end - first <= length / 100 + 1 + 2 * more);
    }
});

test('the next picture to look at comes after this one, then from the start', () => {
    const verdicts = ['', 'accepted', '', 'corrected', ''];
    assert.equal(order.nextOpen(verdicts, 0), 2);
    assert.equal(order.nextOpen(verdicts, 2), 4);
    assert.equal(order.nextOpen(verdicts, 4), 0);
    assert.equal(order.nextOpen(['accepted', ''], 1), -1);
    assert.equal(order.nextOpen([], -1), -1);
    assert.equal(order.nextOpen(['', ''], -1), 0);
});
