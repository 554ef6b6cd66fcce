/* Tests undo and redo against a list of all states: node --test. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { page } from './support/page.mjs';

const { changed, historyOf, redone, undone } = await page('history.js');

test('undo and redo walk along the states', () => {
    const states = ['a', 'b', 'c', 'd'];
    let history = historyOf('a');
    for (const state of states.slice(1)) {
        history = changed(history, state);
    }
    for (const want of ['c', 'b', 'a', 'a']) {
        history = undone(history);
        assert.equal(history.present, want);
    }
    for (const want of ['b', 'c', 'd', 'd']) {
        history = redone(history);
        assert.equal(history.present, want);
    }
});

test('a change after an undo forgets what was undone', () => {
    const history = changed(undone(changed(changed(historyOf(1), 2), 3)), 4);
    assert.equal(redone(history), history);
    assert.equal(undone(history).present, 2);
});

test('the steps of one drag are one step back', () => {
    let history = changed(historyOf(0), 1);
    for (let step = 2; step < 50; step++) {
        history = changed(history, step, true);
    }
    assert.equal(history.present, 49);
    assert.equal(undone(history).present, 0);
});

test('the number of steps is limited, and the latest are kept', () => {
    let history = historyOf(0);
    for (let step = 1; step <= 1000; step++) {
        history = changed(history, step);
    }
    assert.equal(history.past.length, 200);
    assert.equal(undone(history).present, 999);
});
