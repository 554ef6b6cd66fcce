/* The page's watch over the server on lines that are slow, dead or refused, with a clock of its own.
 * Run by `node --test`. */

import assert from 'node:assert/strict';
import test, { afterEach } from 'node:test';

import { page } from './support/page.mjs';

const { health, mayBeToken } = await page('api.js');
const real = { fetch, now: performance.now, timeout: AbortSignal.timeout };
let clock = 0;

/** Answers after some milliseconds, or not at all where the page waits for less. */
function answerAfter(ms, status = 200) {
    performance.now = () => clock;
    AbortSignal.timeout = (patience) => patience;
    globalThis.fetch = async (_, { signal: patience }) => {
        clock += Math.min(ms, patience);
        if (ms > patience) {
            throw new DOMException('it took too long', 'TimeoutError');
        }
        return { ok: status === 200, status };
    };
}

/** How long the page waits for an answer that does not come. */
async function patience() {
    const start = clock;
    answerAfter(Infinity);
    assert.equal(await health(), 'away');
    return clock - start;
}

afterEach(() => {
    globalThis.fetch = real.fetch;
    performance.now = real.now;
    AbortSignal.timeout = real.timeout;
});

test('a server far away is ready, one that is gone is noticed soon', async () => {
    answerAfter(5);
    assert.equal(await health(), 'ready');
    assert.equal(await patience(), 900);
    for (const far of [1200, 4000]) {
        answerAfter(far);
        const heard = [];
        while (heard.at(-1) !== 'ready' && heard.length < 5) {
            heard.push(await health());
        }
        assert.equal(heard.at(-1), 'ready', `${far} ms: ${heard}`);
        answerAfter(far * 2, 503);
        assert.equal(await health(), 'loading');
    }
    let waited = 0;
    for (let i = 0; i < 10; i++) {
        waited = await patience();
    }
    assert.equal(waited, 15000);
    /* Who refuses the connection says so at once, however often. */
    answerAfter(5);
    assert.equal(await health(), 'ready');
    globalThis.fetch = async () => {
        throw new TypeError('refused');
    };
    for (let i = 0; i < 5; i++) {
        assert.equal(await health(), 'away');
    }
    assert.equal(await patience(), 900);
});

test('what cannot be sent in a header is no token', () => {
    for (const token of ['abc', 'a-b_c~1+/=', '!~']) {
        assert.equal(mayBeToken(token), true, token);
    }
    for (const text of ['', 'a b', '\u201cabc\u201d', 'abc\u200b', '\ud1a0\ud070', 'caf\u00e9', 'a\n']) {
        assert.equal(mayBeToken(text), false, JSON.stringify(text));
    }
});
