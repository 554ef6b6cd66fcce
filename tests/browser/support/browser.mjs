/* What the tests in a real browser share: the server, Debian's Chromium through playwright-core, and
 * pages whose console stays empty and whose requests stay on the server. run.sh says what is
 * needed and where it is looked for. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const program = process.env.ADL_SERVER ?? join(root, 'build/adl-server');
export const model = process.env.ADL_TEST_MODEL ?? join(root, 'models/default.safetensors');
/** How long, in milliseconds, a test may take, and a wait in it: they end what hangs. Nothing that is
 * tested here is a matter of time, and a machine with other work takes many times what an idle one does. */
export const patience = 600000;
const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** An npm package from the directory that `.ci/deps browser` fills, or from NODE_PATH. */
export function npm(name) {
    const folders = [join(root, process.env.BUILD ?? 'build', 'node-browser'),
        ...(process.env.NODE_PATH ?? '').split(delimiter).filter(Boolean).map((path) => join(path, '..'))];
    for (const folder of folders) {
        try {
            return createRequire(join(folder, 'any.js')).resolve(name);
        } catch {
            /* The next one. */
        }
    }
    return null;
}

/** Why the tests cannot run here, or ''. */
export function missing() {
    return !existsSync(program) ? `no program at ${program}`
        : !existsSync(model) ? `no model at ${model}`
            : !existsSync(chromiumPath) ? 'no Chromium'
                : !npm('playwright-core') ? 'no playwright-core (make check-deps installs it)' : '';
}

/** Starts a server with models [[name, file] ...] and waits until it is ready. */
export async function serve(models = [['default', model]], options = []) {
    const child = spawn(program, ['serve', '--listen', '127.0.0.1:0', ...options,
        ...models.flatMap(([name, file]) => ['--model', `${name}=${file}`])],
    { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    const url = await new Promise((resolve, reject) => {
        child.stderr.on('data', (data) => {
            text += data;
            const found = /127\.0\.0\.1:([1-9]\d*)/.exec(text);
            if (found) {
                resolve(`http://127.0.0.1:${found[1]}/`);
            }
        });
        child.on('exit', () => reject(new Error(text)));
    });
    while ((await fetch(`${url}readyz`)).status !== 200) {
        await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    return { url, stop: () => child.kill(), pid: child.pid };
}

export async function launch() {
    const path = npm('playwright-core');
    const { chromium } = createRequire(path)(path);
    return chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox', '--disable-gpu',
        '--disable-dev-shm-usage'], timeout: patience / 4 });
}

/** Opens a page in a context of its own and waits for what `ready` selects; `page.done()` at the end
 * says whether the console stayed empty and every request went to the server, or, of a page that is a
 * file, nowhere. `prepare(page)` is called before the page asks for anything; `until` is the event
 * that ends the wait for its files. */
export async function open(browser, url, { width = 1280, height = 900, allow = [],
    ready = '#health[data-state=ready]', prepare = () => {}, until = 'load', ...options } = {}) {
    const context = await browser.newContext({ viewport: { width, height }, ...options });
    context.setDefaultTimeout(patience / 4);
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await context.newPage();
    const said = [];
    const asked = [];
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error.stack)));
    page.on('request', (request) => asked.push(request.url()));
    await prepare(page);
    await page.goto(url, { waitUntil: until });
    await page.waitForSelector(ready, { state: 'attached' });
    page.asked = asked;
    page.done = async () => {
        assert.deepEqual(said.filter((text) => !allow.some((known) => known.test(text))), []);
        const { origin, protocol } = new URL(url);
        const own = protocol === 'file:' ? [url, 'data:image/', 'blob:null/'] : [`${origin}/`, `blob:${origin}/`];
        assert.deepEqual(asked.filter((each) => !own.some((start) => each.startsWith(start))), []);
        await context.close();
    };
    return page;
}

/** Gives the page files, and waits until all pictures are answered. */
export async function add(page, files) {
    const before = await page.locator('#strip > li').count();
    await page.setInputFiles('#files', files);
    await page.waitForFunction((count) => {
        const rows = [...document.querySelectorAll('#strip > li')];
        return rows.length >= count && rows.every((row) => ['done', 'error'].includes(row.dataset.status));
    }, before + files.length);
    await page.waitForSelector('html[data-late=there]', { state: 'attached' });
    await settle(page);
}

/** Waits until `holds()` is true; for what no element of the page shows. */
export async function until(holds) {
    const end = Date.now() + patience / 4;
    while (!await holds()) {
        assert.ok(Date.now() < end, `not within ${patience / 4} ms: ${holds}`);
        await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
}

/** Waits until what changed is drawn. */
export const settle = (page) => page.evaluate(() => new Promise((resolve) => {
    requestAnimationFrame(() => requestAnimationFrame(resolve));
}));

/** Keeps a screenshot in the directory OUT, if there is one. */
export async function shot(page, name, fullPage = false) {
    if (process.env.OUT) {
        mkdirSync(process.env.OUT, { recursive: true });
        await page.screenshot({ path: join(process.env.OUT, `${name}.png`), fullPage });
    }
}

/** Keeps something in a table of the page's storage, or reads the keys of what is kept, after all that
 * the page has begun to write there. */
export const stored = (page, table, values = []) => page.evaluate(([name, all]) => new Promise((resolve, reject) => {
    const request = indexedDB.open('adl-server');
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
        const store = request.result.transaction(name, 'readwrite').objectStore(name);
        all.forEach((value) => store.put(value, value.id));
        store.getAllKeys().onsuccess = ({ target }) => {
            request.result.close();
            resolve(target.result);
        };
    };
}), [table, values]);

/** How many colours a canvas shows. */
export const colours = (page, id) => page.evaluate((canvas) => {
    const shown = document.getElementById(canvas);
    const copy = new OffscreenCanvas(shown.width, shown.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(shown, 0, 0);
    const { data } = copy.getImageData(0, 0, shown.width, shown.height);
    return new Set(new Uint32Array(data.buffer)).size;
}, id);

/** Fails with what axe-core finds on the page as it is. */
export async function accessible(page, what) {
    const axe = npm('axe-core');
    if (!axe) {
        return;
    }
    const { readFileSync } = await import('node:fs');
    /* Not as a <script>: the page's Content-Security-Policy forbids one, and rightly. */
    await page.evaluate(readFileSync(axe, 'utf8'));
    const found = await page.evaluate(async () => (await window.axe.run()).violations
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`));
    assert.deepEqual(found, [], what);
}
