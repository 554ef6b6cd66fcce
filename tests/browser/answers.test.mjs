/* What the page keeps of the answers. Run by `node --test`. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { page } from './support/page.mjs';

const { classMapOf } = await page('answers.js');
const size = { width: 224, height: 224 };

const predicted = (i) => ({
    heatmap: { width: 14, height: 14, data: Array.from({ length: 14 }, (_, y) =>
        Array.from({ length: 14 }, (__, x) => ((x * y + i) % 97) / 97)) },
});

test('the maps of hundreds of answers take the memory of a few dozen', async () => {
    setFlagsFromString('--expose_gc');
    const gc = runInNewContext('gc');
    const answers = Array.from({ length: 200 }, (_, i) => predicted(i));
    gc();
    const before = process.memoryUsage().arrayBuffers;
    const first = classMapOf(answers[0], size);
    for (const answer of answers) {
        classMapOf(answer, size);
        assert.equal(classMapOf(answers[0], size), first, 'what is looked at stays');
    }
    /* V8 frees buffers on another thread, after gc() has returned. */
    let grown = Infinity;
    for (let i = 0; i < 100 && grown >= 60; i++) {
        gc();
        await new Promise((resolve) => { setTimeout(resolve, 20); });
        grown = (process.memoryUsage().arrayBuffers - before) / 1e6;
    }
    assert.ok(grown > 1 && grown < 60, `${grown} MB`);
    const last = classMapOf(answers[199], size);
    assert.equal(classMapOf(answers[199], size), last);
    assert.notEqual(classMapOf(answers[199], { width: 64, height: 64 }), last);
});
