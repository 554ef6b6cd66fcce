/* The languages of the page: each table has every key of the English one and no other, with the same
 * values in braces, and the language is chosen as a browser asks. Run by `node --test`. */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';

import { page } from './support/page.mjs';

const { english } = await page('text.js');
const { chosenLanguage } = await page('languages.js');
const web = new URL('../../web/', import.meta.url);
const tables = readdirSync(web).filter((name) => /^[a-z]{2,3}(-[A-Za-z]+)*\.json$/.test(name));
const html = readFileSync(new URL('index.html', web), 'utf8');
const read = (name) => JSON.parse(readFileSync(new URL(name, web), 'utf8'));

/** All forms of a text: most have one, those with a number may have several. */
const forms = (entry) => (typeof entry === 'string' ? [entry] : Object.values(entry));
const values = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

test('there is a second language, and every table is offered', () => {
    assert.ok(tables.includes('ko.json'));
    const offered = [...html.matchAll(/<option value="([^"]+)" lang=/g)].map(([, name]) => name);
    assert.deepEqual(offered.sort(), ['en', ...tables.map((name) => name.slice(0, -5))].sort());
});

for (const name of tables) {
    const table = read(name);

    test(`${name} has every text, and no other`, () => {
        assert.deepEqual(Object.keys(table).filter((key) => !(key in english)), []);
        assert.deepEqual(Object.keys(english).filter((key) => !(key in table)), []);
        const keys = [...readFileSync(new URL(name, web), 'utf8').matchAll(/^ {4}"([^"]+)":/gm)];
        assert.equal(keys.length, Object.keys(table).length, 'a key is there twice');
    });

    test(`${name} has the same values in its texts`, () => {
        for (const [key, entry] of Object.entries(table)) {
            const wanted = new Set(forms(english[key]).flatMap(values));
            for (const text of forms(entry)) {
                assert.ok(text.trim() !== '', key);
                assert.ok(values(text).every((value) => wanted.has(value)), `${key}: ${text}`);
            }
            /* The form for most numbers says everything that the English one does. */
            const full = (each) => values(typeof each === 'string' ? each : each.other);
            assert.deepEqual(full(entry), full(english[key]), key);
            if (typeof entry !== 'string') {
                const used = new Intl.PluralRules(name.slice(0, -5)).resolvedOptions().pluralCategories;
                const known = new Set([...used, 'zero', 'other']);
                assert.deepEqual(Object.keys(entry).filter((form) => !known.has(form)), [], key);
            }
        }
    });

    test(`${name} is another language`, () => {
        const same = Object.entries(table).filter(([key, entry]) =>
            JSON.stringify(entry) === JSON.stringify(english[key]) && /[a-z]{4}/.test(forms(entry)[0]
                .replace(/\{\w+\}/g, '')));
        /* Names of colour maps and formats are the same everywhere. */
        assert.ok(same.length < 12, same.map(([key]) => key).join());
    });
}

test('the language is the first that a browser asks for and the page has', () => {
    const offered = ['en', 'ko', 'pt-BR'];
    for (const [asked, wanted] of [[['ko-KR', 'en-US'], 'ko'], [['fr', 'ko'], 'ko'], [['fr'], 'en'],
        [[], 'en'], [['pt-br'], 'pt-BR'], [['en-GB', 'ko'], 'en'], [['KO'], 'ko'],
        [['koi'], 'en'], [['zh-Hant-TW', 'ko'], 'ko']]) {
        assert.equal(chosenLanguage(asked, offered), wanted, asked.join());
    }
});
