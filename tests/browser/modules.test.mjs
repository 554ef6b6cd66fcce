/* Checks that no scripts of the page import each other in a circle, late imports included: which of
 * them is run first would depend on who asks. Run by `node --test`. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('../../web/', import.meta.url));

function readImports() {
    const scripts = readdirSync(web, { recursive: true }).filter((name) => name.endsWith('.js'));
    return new Map(scripts.map((name) => [name,
        [...readFileSync(join(web, name), 'utf8').matchAll(/\b(?:from\s*|import\s*\(?\s*)'(\.[^']+)'/g)]
            .map((match) => normalize(join(dirname(name), match[1])))]));
}

/* The names along a circle, the first one again at the end; null: there is none. */
function findCircle(imports) {
    const done = new Set();
    const visit = (name, path) => {
        if (path.includes(name)) {
            return [...path.slice(path.indexOf(name)), name];
        }
        if (done.has(name)) {
            return null;
        }
        for (const next of imports.get(name) ?? []) {
            const circle = visit(next, [...path, name]);
            if (circle) {
                return circle;
            }
        }
        done.add(name);
        return null;
    };
    for (const name of imports.keys()) {
        const circle = visit(name, []);
        if (circle) {
            return circle;
        }
    }
    return null;
}

test('no scripts import each other in a circle', () => {
    const imports = readImports();
    assert.ok(imports.get('app.js')?.includes('keys.js') && imports.get('late.js')?.includes('tools.js'));
    for (const [name, others] of imports) {
        others.forEach((other) => assert.ok(imports.has(other), `${name} imports ${other}, which is not there`));
    }
    assert.equal(findCircle(imports)?.join(' imports ') ?? 'none', 'none');
});

test('a circle is found', () => {
    assert.deepEqual(findCircle(new Map([['a', ['b']], ['b', ['c', 'd']], ['c', []], ['d', ['b']]])),
        ['b', 'd', 'b']);
    assert.equal(findCircle(new Map([['a', ['b', 'c']], ['b', ['c']], ['c', []]])), null);
});
