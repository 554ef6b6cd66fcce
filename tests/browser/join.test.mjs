/* Checks that joined modules (server/api/join_modules.awk) do what the modules themselves do: both
 * are run by node. Run by `node --test`. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../server/api/join_modules.awk', import.meta.url));

function write(files) {
    const root = mkdtempSync(join(tmpdir(), 'adl-join-'));
    for (const [name, text] of Object.entries({ 'package.json': '{"type": "module"}', ...files })) {
        mkdirSync(dirname(join(root, name)), { recursive: true });
        writeFileSync(join(root, name), text);
    }
    return root;
}

function joined(root, ...more) {
    return spawnSync('awk', ['-v', `root=${root}`, '-v', 'entry=main.js', '-v', `late=${root}`, ...more,
        '-f', script],
        { encoding: 'utf8' });
}

/* What main.js prints, as modules and joined. */
function both(files) {
    const root = write(files);
    try {
        const one = joined(root);
        assert.equal(one.status, 0, one.stderr);
        assert.doesNotMatch(one.stdout, /^(import|export)\b/m);
        /* Each late part is a file beside it. */
        writeFileSync(join(root, 'joined.js'), one.stdout.replace(/@part(\d+)@/g, './part$1.js'));
        for (let part = 1; existsSync(join(root, String(part))); part++) {
            renameSync(join(root, String(part)), join(root, `part${part}.js`));
        }
        const run = (name) => execFileSync(process.execPath, [join(root, name)],
            { encoding: 'utf8' });
        return [run('main.js'), run('joined.js')];
    } finally {
        rmSync(root, { recursive: true });
    }
}

test('every form of import and export that is taken', () => {
    const [apart, one] = both({
        'main.js': `/* A comment: import { x } from './y.js'; */
import * as shapes from './parts/shapes.js';
import { area, Square as Quad,
    names } from './parts/shapes.js';
import {third} from "./parts/more.js";
import './effects.js';
const text = \`import { nothing } from './nowhere.js';\`;
console.log(text, shapes.area(2), area(3), new Quad(4).side, names, third());
console.log(Object.keys(shapes).sort().join());
const late = await0(() => import('./parts/late.js'));
function await0(f) { return f(); }
late.then((module) => console.log(module.word, module.count()));
`,
        'effects.js': "console.log('runs');\n",
        'parts/shapes.js': `import { third as t } from './more.js';
import { log } from '../log.js';
export const names = ['a', 'b'];
const side = 1;
export function area(n) { return n * n * side; }
export class Square {
    constructor(n) { this.side = n; }
}
async function hidden() { return t(); }
function* counted() { yield 1; }
export {
    hidden,
    counted as numbers,
};
log('shapes');
`,
        'parts/more.js': `const side = 3;
export function third() { return side; }
console.log('more');
`,
        'parts/late.js': "import { third } from './more.js';\nexport const word = 'late';\n" +
            'export function count() { return third() + 1; }\n',
        'log.js': 'export function log(...words) { console.log(...words); }\n',
    });
    assert.equal(one.replace('late 4\n', ''), apart.replace('late 4\n', ''));
    assert.match(one, /late 4/);
    assert.match(apart, /area,hidden,names,numbers|Square,area,hidden,names,numbers/);
});

test('what is imported late is a part of its own, and shares the modules of the page', () => {
    const files = {
        'main.js': `import { count, log } from './shared.js';
count();
const load = () => import('./tools/first.js');
log('page');
load().then(async ({ run }) => {
    run();
    (await load()).run();
    (await import('./tools/second.js')).run();
    log((await import('./shared.js')).count());
});
`,
        'shared.js': `let n = 0;
export function count() { n += 1; return n; }
export function log(...words) { console.log(...words); }
log('shared');
`,
        'tools/first.js': `import { log } from '../shared.js';
import { name } from './only.js';
log('first', name);
export function run() { import('../shared.js').then(({ count }) => log('run', count())); }
`,
        'tools/only.js': "export const name = 'only';\n",
        'tools/second.js': "import * as shared from '../shared.js';\n" +
            "export function run() { shared.log('second', shared.count()); }\n",
    };
    const [apart, one] = both(files);
    assert.equal(one, apart);
    assert.match(one, /^shared\npage\nfirst only\n/);

    /* The page has none of it, and a part nothing of the page. */
    const root = write(files);
    const { stdout } = joined(root);
    assert.doesNotMatch(stdout, /'first'|'only'|'second'/);
    const parts = ['1', '2'].map((name) => readFileSync(join(root, name), 'utf8'));
    assert.match(parts[0], /^export default \(\$\d+\) => \{\n[^]*'only'[^]*'first'/);
    assert.doesNotMatch(parts.join(''), /'shared'/);
    assert.equal(readFileSync(join(root, 'names'), 'utf8'), 'tools/first.js\ntools/second.js\n');
    rmSync(root, { recursive: true });
});

test('what cannot be joined is refused in one line', () => {
    const cases = {
        circle: { 'main.js': "import { a } from './a.js';\n", 'a.js':
            "import './main.js';\nexport const a = 1;\n" },
        let: { 'main.js': 'export let a = 1;\n' },
        default: { 'main.js': 'export default 1;\n' },
        outside: { 'main.js': "import { a } from '../secret.js';\n" },
        missing: { 'main.js': "import { a } from './missing.js';\n" },
        waiting: { 'main.js': 'const a = await fetch("x");\n' },
        closing: { 'main.js': "const a = '</script>';\n" },
        shared: { 'main.js': "import('./a.js');\nimport('./b.js');\n", 'a.js': "import './c.js';\n",
            'b.js': "import './c.js';\n", 'c.js': '' },
        later: { 'main.js': "import('./a.js');\n", 'a.js': "import('./b.js');\n", 'b.js': '' },
        another: { 'main.js': "export { a } from './a.js';\n", 'a.js': 'export const a = 1;\n' },
    };
    for (const [name, files] of Object.entries(cases)) {
        const root = write(files);
        const { status, stderr } = joined(root);
        assert.equal(status, 3, name);
        assert.match(stderr, /^[a-z.]+\.js: [^\n]+\n$/, name);
        rmSync(root, { recursive: true });
    }
});

test('the list names every module, in a circle too', () => {
    const root = write({ 'main.js': "import { a } from './a.js';\n", 'a.js':
        "import './main.js';\nimport './b/c.js';\nexport let a = 1;\n", 'b/c.js': '' });
    const { status, stdout } = joined(root, '-v', 'list=1');
    assert.equal(status, 0);
    assert.deepEqual(stdout.trim().split('\n').sort(), ['a.js', 'b/c.js', 'main.js']);
    rmSync(root, { recursive: true });
});
