/* The state of the page, and the address that it becomes. Run by `node --test`. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './support/page.mjs';

const { change, initialState, state, subscribe, touch } = await page('state.js');
const { queryOf, stateOf } = await page('address.js');

test('subscribers hear what they asked for, once for each change', () => {
    const heard = [];
    const end = subscribe(['threshold', 'models'], (changed) => heard.push([...changed].sort()));
    change({ threshold: 0.4, boxes: 'all' });
    change({ threshold: 0.4 });
    change({ boxes: 'largest' });
    touch('models');
    assert.deepEqual(heard, [['boxes', 'threshold'], ['models']]);
    end();
    change({ threshold: null });
    assert.equal(heard.length, 2);
    assert.deepEqual(state, initialState());
    /* What has the same contents is no change. */
    const end2 = subscribe(null, () => assert.fail('nothing changed'));
    change({ map: { flip: null, scales: null, layer: null }, view: null });
    end2();
});

const full = {
    picture: 'k3-5', model: 'a&b=c', class: 'dragonfly & co', threshold: 0.279, boxes: 'objects',
    outline: false, opacity: 0.3, colours: 'cividis',
    map: { flip: true, scales: '0.71,1,1.43', layer: 'gradcam++:blocks.10' },
    view: { zoom: 2.5, x: 0.25, y: 0.75 },
    beside: { model: 'other', class: '#7', map: { flip: false, scales: null, layer: 'none' } },
    difference: true, correct: true, paused: false,
    filter: { label: 'cat & dog', score: 'low', seen: 'open', sort: 'certain' },
};

test('each state survives the way into an address and back', () => {
    assert.equal(queryOf(initialState()), '');
    assert.deepEqual(stateOf(''), initialState());
    assert.deepEqual(stateOf(queryOf(full)), full);
    assert.deepEqual(stateOf(`?${queryOf(full)}`), full);
    for (const [name, value] of Object.entries(full)) {
        const one = { ...initialState(), [name]: value };
        if (name !== 'difference') {
            assert.deepEqual(stateOf(queryOf(one)), one, name);
        }
    }
    const plain = { ...initialState(), beside: { model: '', class: null, map: initialState().map } };
    assert.deepEqual(stateOf(queryOf(plain)), plain);
});

test('what makes no sense in an address is left out', () => {
    for (const text of ['threshold=', 'threshold=2', 'threshold=x', 'boxes=none', 'view=1', 'view=0.5,1,1',
        'view=2,2,0', 'map_flip=maybe', 'map_scales=1;2', 'heat=-1', 'heat=', 'difference=yes', '%', '&&==']) {
        assert.deepEqual(stateOf(text), initialState(), text);
    }
});
