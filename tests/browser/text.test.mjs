/* The texts of the page: those in index.html are those of the table, and every key that the scripts
 * and the page name is there. Run by `node --test`. */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

import { page } from './support/page.mjs';

const { english, t } = await page('text.js');
const web = new URL('../../web/', import.meta.url);
const html = readFileSync(new URL('index.html', web), 'utf8');

test('texts have their values and their number', () => {
    assert.equal(t('announce.class', { label: '{score}', score: '9 %' }), '{score}, 9 %');
    assert.deepEqual([0, 1, 2].map((count) => t('boxes.title', { count })), ['Box', 'Box', '2 boxes']);
    assert.equal(t('no such key'), 'no such key');
});

test('the page has the texts of the table', () => {
    let count = 0;
    const places = { '': null, '-title': 'title', '-label': 'aria-label', '-hint': 'placeholder', '-alt': 'alt' };
    for (const [tag, text] of [...html.matchAll(/(<[^<>]*data-t[^<>]*>)([^<]*)/g)].map((m) => m.slice(1))) {
        for (const [suffix, attribute] of Object.entries(places)) {
            const key = new RegExp(`data-t${suffix}="([^"]*)"`).exec(tag)?.[1];
            if (key) {
                const shown = attribute ? new RegExp(` ${attribute}="([^"]*)"`).exec(tag)?.[1] : text;
                assert.equal(shown, english[key], key);
                count++;
            }
        }
    }
    assert.ok(count > 50, `${count} texts`);
});

test('every text that the scripts name is in the table', () => {
    for (const name of readdirSync(web).filter((file) => file.endsWith('.js'))) {
        const source = readFileSync(new URL(name, web), 'utf8');
        for (const [, key] of source.matchAll(/\bt\('([^']+)'/g)) {
            assert.ok(key in english, `${name}: ${key}`);
        }
    }
});

test('the help lists every key that has a text', () => {
    const scripts = readdirSync(web).filter((file) => file.endsWith('.js') && file !== 'text.js')
        .map((name) => readFileSync(new URL(name, web), 'utf8')).join('');
    const keys = Object.keys(english).filter((key) => key.startsWith('key.'));
    assert.ok(keys.length > 20);
    assert.deepEqual(keys.filter((key) => !new RegExp(`text:\\s*'${key}'`).test(scripts)), []);
});
