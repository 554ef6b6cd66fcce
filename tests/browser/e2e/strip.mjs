/* Hundreds of pictures in the filmstrip, folders, formats that the server does not read, pictures
 * that are larger than it takes, and the second language. Run by run.sh. */

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import {
    accessible, add, launch, missing, open, patience, root, serve, settle, shot, stored, until,
} from '../support/browser.mjs';

const why = missing();
const example = (name) => join(root, `web/examples/${name}.jpg`);
const names = ['umbrella', 'starfish', 'yin_yang'];
let browser;
let server;
let small;
let folder;

if (!why) {
    before(async () => {
        folder = mkdtempSync(join(tmpdir(), 'adl-browser-'));
        server = await serve();
        small = await serve(undefined, ['--max-body', '12000']);
        browser = await launch();
    });
    after(async () => {
        await browser?.close();
        server?.stop();
        small?.stop();
        rmSync(folder, { recursive: true });
    });
}

const it = (name, run) => test(name, { skip: why || false, timeout: patience }, run);
const text = (page, id) => page.locator(`#${id}`).textContent();
const titles = (page) => page.$$eval('#strip > li .thumb', (list) => list.map(({ title }) => title));

/** Pictures with contents of their own: bytes after the end of a JPEG are no part of the picture. */
const many = (count) => Array.from({ length: count }, (_, i) => ({
    name: `picture ${i + 1}.jpg`, mimeType: 'image/jpeg',
    buffer: Buffer.concat([readFileSync(example(names[i % 3])), Buffer.from(`${i}`)]),
}));

it('hundreds of pictures have few elements, and are stopped, filtered and ordered', async () => {
    const page = await open(browser, server.url);
    /* How often each file is decoded; the first one takes a while. */
    await page.evaluate(() => {
        const decode = window.createImageBitmap;
        window.decoded = new Map();
        window.createImageBitmap = async (source, ...rest) => {
            window.decoded.set(source, (window.decoded.get(source) ?? 0) + 1);
            if (window.decoded.size === 1) {
                await new Promise((resolve) => { setTimeout(resolve, 300); });
            }
            return decode(source, ...rest);
        };
    });
    await page.setInputFiles('#files', many(220));
    await page.waitForFunction(() => /of 220 analysed/.test(
        document.getElementById('strip-count').textContent));
    const elements = await page.locator('#strip > li').count();
    assert.ok(elements >= 8 && elements < 30, `${elements} elements`);
    /* For the stage and for the strip. */
    assert.ok(await page.evaluate(() => Math.max(...window.decoded.values())) <= 2);
    await page.click('#strip-stop');
    await settle(page);
    await page.waitForTimeout(500);
    const done = await text(page, 'strip-count');
    await page.waitForTimeout(700);
    assert.equal(await text(page, 'strip-count'), done);

    /* The end of the strip is reached by scrolling, and by the arrow keys. */
    await page.evaluate(() => { document.getElementById('strip-scroll').scrollLeft = 1e6; });
    await page.waitForFunction(() => [...document.querySelectorAll('#strip .thumb')]
        .some(({ title }) => title === 'picture 220.jpg'));
    assert.ok(await page.locator('#strip > li').count() < 30);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction(() => document.querySelector('[aria-current] .thumb').title ===
        'picture 2.jpg');

    /* Filtered by class: only starfish, whatever has been answered so far. */
    await page.waitForFunction(() => [...document.getElementById('filter-label').options]
        .some(({ value }) => value === 'starfish'));
    await page.selectOption('#filter-label', 'starfish');
    await page.waitForFunction(() => /^\d+ of 220|analysed/.test(
        document.getElementById('strip-count').textContent));
    await settle(page);
    for (const title of await titles(page)) {
        assert.equal(Number(/\d+/.exec(title)[0]) % 3, 2, title);
    }
    await page.selectOption('#filter-label', '');

    /* The delete key removes one, and the next takes its place. */
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('Delete');
    await page.waitForFunction(() => document.querySelector('[aria-current] .thumb').title ===
        'picture 3.jpg');
    assert.match(await text(page, 'strip-count'), /of 219 analysed/);
    await shot(page, 'strip');
    await accessible(page, 'with many pictures');
    await page.done();
});

it('the least certain come first', async () => {
    const page = await open(browser, server.url);
    await add(page, names.map(example));
    await page.selectOption('#filter-sort', 'certain');
    await settle(page);
    const scores = await page.$$eval('#strip .thumb-score', (list) =>
        list.map(({ textContent }) => parseFloat(textContent)));
    assert.equal(scores.length, 3);
    const order = await titles(page);
    await page.selectOption('#filter-sort', 'name');
    await settle(page);
    assert.deepEqual(await titles(page), ['starfish.jpg', 'umbrella.jpg', 'yin_yang.jpg']);
    assert.deepEqual([...order].sort(), await titles(page));
    await page.done();
});

it('after a reload the pictures of the visit are there in their order, and no others', async () => {
    const page = await open(browser, server.url);
    const files = many(11);
    await page.setInputFiles('#files', files.slice(0, 1));
    await page.waitForFunction(() => /picture=/.test(location.search));
    const kept = async () => (await stored(page, 'pictures')).length;
    await until(async () => await kept() === 1);
    const before = page.url();
    /* Another visit. */
    await page.goto(server.url);
    await page.waitForSelector('[data-example=starfish]');
    await page.setInputFiles('#files', files.slice(1, 6));
    await page.waitForFunction(() => document.querySelectorAll('#strip > li').length === 5);
    await page.evaluate(() => document.querySelector('[data-example=starfish]').click());
    await page.waitForFunction(() => document.querySelectorAll('#strip > li').length === 6);
    await page.setInputFiles('#files', files.slice(6));
    await page.waitForFunction(() => document.querySelectorAll('#strip > li').length === 11);
    const wanted = await titles(page);
    assert.equal(wanted[5], 'starfish.jpg');
    assert.equal(wanted[10], 'picture 11.jpg');
    await page.waitForFunction(() => /picture=/.test(location.search));
    await until(async () => await kept() === 12);
    /* What was kept long ago. */
    const long = Date.now() - 31 * 86400000;
    await stored(page, 'pictures', [{ id: 'a', visits: [['x', long]] },
        { id: 'b', visits: [['x', long], ['y', long + 1]] }, { id: 'c' }]);
    await stored(page, 'notes', [{ id: 'a', verdict: '' }, { id: 'b', verdict: 'corrected', boxes: [] }]);
    for (const address of ['', `${server.url}?picture=examples/starfish.jpg`]) {
        await (address ? page.goto(address) : page.reload());
        await page.waitForFunction(() => document.querySelectorAll('#strip > li').length >= 11);
        await settle(page);
        assert.deepEqual(await titles(page), wanted);
    }
    /* What is old goes while the page is in use already. */
    await until(async () => await kept() === 12);
    assert.deepEqual(await stored(page, 'notes'), ['b']);
    /* The address of the visit before names its picture, which comes into this one. */
    await page.goto(before);
    for (let i = 0; i < 2; i++) {
        await page.waitForFunction(() => document.querySelectorAll('#strip > li').length >= 12);
        await settle(page);
        assert.equal((await titles(page)).at(-1), 'picture 1.jpg');
        await page.goto(`${server.url}?picture=examples/starfish.jpg`);
    }
    await page.done();
});

it('a folder is read as a whole, and its pictures alone', async () => {
    const inner = join(folder, 'zoo/deep');
    mkdirSync(inner, { recursive: true });
    copyFileSync(example('umbrella'), join(folder, 'zoo/b.jpg'));
    copyFileSync(example('starfish'), join(inner, 'a.jpg'));
    writeFileSync(join(folder, 'zoo/notes.txt'), 'no picture');
    writeFileSync(join(folder, 'zoo/.hidden.jpg'), 'no picture');
    /* The first file cannot be read; the others can. */
    copyFileSync(example('yin_yang'), join(folder, 'zoo/a.jpg'));
    const page = await open(browser, server.url);
    await page.evaluate(() => {
        const { slice } = Blob.prototype;
        Blob.prototype.slice = function (...range) {
            if (this.webkitRelativePath === 'zoo/a.jpg') {
                throw new DOMException('it was moved', 'NotReadableError');
            }
            return slice.apply(this, range);
        };
    });
    await page.setInputFiles('#folder', join(folder, 'zoo'));
    await page.waitForFunction(() => document.querySelectorAll('#strip > li[data-status=done]').length === 2);
    await page.waitForFunction(() => document.getElementById('strip-count').textContent === '2 pictures');
    assert.equal(await page.locator('#strip > li[aria-current]').count(), 1);
    assert.deepEqual(await titles(page), ['zoo/b.jpg', 'zoo/deep/a.jpg']);
    await page.done();
});

/** A BMP of 24 bits: a white square of `side` pixels with a dark one in it. */
function bmp(side) {
    const row = Math.ceil(side * 3 / 4) * 4;
    const bytes = Buffer.alloc(54 + row * side, 255);
    bytes.write('BM');
    bytes.writeUInt32LE(bytes.length, 2);
    bytes.writeUInt32LE(0, 6);
    bytes.writeUInt32LE(54, 10);
    bytes.writeUInt32LE(40, 14);
    bytes.writeInt32LE(side, 18);
    bytes.writeInt32LE(side, 22);
    bytes.writeUInt16LE(1, 26);
    bytes.writeUInt16LE(24, 28);
    bytes.fill(0, 30, 54);
    for (let y = side / 4; y < side * 3 / 4; y++) {
        bytes.fill(30, 54 + y * row + side / 4 * 3, 54 + y * row + side * 3 / 4 * 3);
    }
    return bytes;
}

it('what the server does not read is sent as a JPEG', async () => {
    const page = await open(browser, server.url);
    await add(page, [{ name: 'square.bmp', mimeType: 'image/bmp', buffer: bmp(200) }]);
    assert.equal(await page.isHidden('#problem'), true);
    assert.match(await text(page, 'sent-note'), /JPEG copy/);
    assert.match(await text(page, 'timing'), /200 × 200 px/);
    /* What browsers show in an <img> alone is on the stage too, and is saved. */
    await add(page, [join(root, 'web/examples/starfish.svg')]);
    await page.waitForFunction(() => /^starfish.svg: /.test(
        document.getElementById('canvas').getAttribute('aria-label')));
    const [overlay] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    assert.equal(overlay.suggestedFilename(), 'starfish-overlay.png');
    await add(page, [{ name: 'no picture.xyz', mimeType: '', buffer: Buffer.from('no picture') }]);
    await page.evaluate(() => document.activeElement.blur());
    await page.waitForFunction(() => !document.getElementById('problem').hidden);
    assert.match(await text(page, 'problem-title'), /cannot show/);
    await page.done();
});

it('a picture that is too large is sent smaller, and its boxes are in its own pixels', async () => {
    const page = await open(browser, small.url);
    await add(page, [example('umbrella')]);
    assert.equal(await page.isHidden('#problem'), true);
    assert.match(await text(page, 'sent-note'),
        /^This picture has 0\.\d\d MiB; this server takes 0\.01\. A copy of \d+ × \d+ pixels was sent\./);
    assert.match(await text(page, 'timing'), /420 × 420 px/);
    /* The server's box is the page's, so its chance is known. */
    assert.match(await text(page, 'boxes-hint'), /chance/);
    await page.click('#copy-json');
    await page.waitForSelector('#copy-json.confirmed');
    const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
    assert.deepEqual(copied.image, { width: 420, height: 420 });
    assert.ok(copied.predictions[0].boxes[0].confidence > 0);
    const [, x0, y0, x1, y1] = /(\d+), (\d+) – (\d+), (\d+)/.exec(await page.locator('#boxes .box-place')
        .textContent()).map(Number);
    await page.done();
    /* The whole picture gives nearly the same box. */
    const whole = await (await fetch(`${server.url}localize`, { method: 'POST',
        headers: { 'Content-Type': 'image/jpeg' }, body: readFileSync(example('umbrella')) })).json();
    const box = whole.predictions[0].boxes[0];
    const both = Math.max(0, Math.min(x1, box.x1) - Math.max(x0, box.x0) + 1) *
        Math.max(0, Math.min(y1, box.y1) - Math.max(y0, box.y0) + 1);
    const area = (b) => (b.x1 - b.x0 + 1) * (b.y1 - b.y0 + 1);
    const iou = both / (area(box) + area({ x0, y0, x1, y1 }) - both);
    assert.ok(iou > 0.75, `${[x0, y0, x1, y1]} and ${JSON.stringify(box)}`);
});

it('a browser that asks for Korean gets it, and a person may choose', async () => {
    const page = await open(browser, server.url, { locale: 'ko-KR' });
    await page.waitForFunction(() => document.documentElement.lang === 'ko');
    assert.equal(await text(page, 'empty-title'), '사진을 보여 주세요');
    await add(page, names.map(example));
    await page.waitForFunction(() => document.getElementById('strip-count').textContent === '사진 3장');
    await page.keyboard.press('e');
    await settle(page);
    await shot(page, 'korean');
    await accessible(page, 'in Korean');
    await page.selectOption('#language', 'en');
    await page.waitForFunction(() => document.documentElement.lang === 'en');
    assert.equal(await text(page, 'strip-count'), '3 pictures');
    await page.reload();
    await page.waitForSelector('#health[data-state=ready]', { state: 'attached' });
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
    await page.done();
});
