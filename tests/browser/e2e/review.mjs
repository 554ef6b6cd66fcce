/* Boxes corrected in a real browser on the real server: with mouse, finger and keyboard, through a
 * reload, into files and into the server's directory. Run by `node --test`. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import {
    accessible, add, launch, missing, model, open, patience, root, serve, settle, shot, stored, until,
} from '../support/browser.mjs';

const why = missing();
const examples = join(root, 'web/examples');
const names = ['umbrella.jpg', 'starfish.jpg', 'yin_yang.jpg'];
let browser;
let server;
let folder;

if (!why) {
    before(async () => {
        folder = mkdtempSync(join(tmpdir(), 'adl-browser-'));
        server = await serve([['default', model]], ['--annotations', join(folder, 'set')]);
        browser = await launch();
    });
    after(async () => {
        await browser?.close();
        server?.stop();
        rmSync(folder, { recursive: true });
    });
}

const it = (name, run) => test(name, { skip: why || false, timeout: patience }, run);

/** The boxes that the list shows: label and size. */
async function listed(page) {
    await settle(page);
    return page.$$eval('#drawn li', (rows) => rows.map((row) =>
        `${row.querySelector('.drawn-label').textContent} ${row.querySelector('.drawn-size').textContent}`));
}

/** Where a pixel of the picture is in the window. */
async function placed(page, x, y) {
    const [left, top, scale] = await page.evaluate(() => {
        const pane = document.getElementById('pane').getBoundingClientRect();
        const { width, height } = window.pictureSize;
        const size = Math.min(pane.width / width, pane.height / height, 6);
        return [pane.left + (pane.width - width * size) / 2,
            pane.top + (pane.height - height * size) / 2, size];
    });
    return { x: left + x * scale, y: top + y * scale };
}

async function size(page, width, height) {
    await page.evaluate((s) => { window.pictureSize = s; }, { width, height });
}

async function drag(page, from, to) {
    const a = await placed(page, ...from);
    const b = await placed(page, ...to);
    await page.mouse.move(a.x, a.y);
    await page.mouse.down();
    await page.mouse.move((a.x + b.x) / 2, (a.y + b.y) / 2, { steps: 4 });
    await page.mouse.move(b.x, b.y, { steps: 4 });
    await page.mouse.up();
    await settle(page);
}

/** Waits until a picture is the current one and on the stage: keys are not for what is not yet seen. */
const correctable = (page, name) => page.waitForFunction((title) =>
    document.querySelector('[aria-current] .thumb').title === title &&
    !document.getElementById('correct-accept').disabled, name);

const verdict = (page) => page.$eval('#review-verdict', (node) => node.dataset.verdict);

/** Reads the saved file of a click on Save. */
async function saved(page, format) {
    await page.selectOption('#export-format', format);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export-save')]);
    return readFileSync(await download.path());
}

const square = (box) => ({ x0: box[0], y0: box[1], x1: box[0] + box[2] - 1, y1: box[1] + box[3] - 1 });

it('boxes are drawn, changed, taken back and kept', async () => {
    const kept = folder;
    const page = await open(browser, server.url, { allow: [/status of (400|409)/] });
    await add(page, names.map((name) => join(examples, name)));
    await page.click('#strip li:nth-child(1) .thumb');
    const shape = await page.evaluate(async () => {
        const image = await createImageBitmap(await (await fetch('examples/umbrella.jpg')).blob());
        return { width: image.width, height: image.height };
    });
    await size(page, shape.width, shape.height);
    await page.keyboard.press('e');
    await page.waitForSelector('#correct-tools:not([hidden])');
    const draft = await listed(page);
    assert.equal(draft.length, 1);
    assert.match(draft[0], /^umbrella \d+ × \d+$/);
    assert.equal(await verdict(page), '');

    /* A new box by the mouse, small and in a corner; its pixels are those that were drawn over. */
    await drag(page, [4, 6], [24.2, 31.4]);
    assert.equal(await verdict(page), 'corrected');
    assert.deepEqual((await listed(page)).slice(-1), ['umbrella 20 × 25']);
    /* By its corner it grows, by its middle it moves, and both can be taken back. */
    await drag(page, [24, 31], [44, 41]);
    assert.deepEqual((await listed(page)).slice(-1), ['umbrella 40 × 35']);
    await drag(page, [20, 20], [30, 25]);
    const before = JSON.parse((await saved(page, 'coco')).toString());
    assert.deepEqual(square(before.annotations.at(-1).bbox), { x0: 14, y0: 11, x1: 53, y1: 45 });
    await page.keyboard.press('Control+z');
    await page.keyboard.press('Control+z');
    assert.deepEqual((await listed(page)).slice(-1), ['umbrella 20 × 25']);
    await page.keyboard.press('Control+y');
    assert.deepEqual((await listed(page)).slice(-1), ['umbrella 40 × 35']);
    /* The IoU with the model's box is that of the numbers. */
    assert.match(await page.textContent('#correct-iou'), /IoU .*: \d/);

    /* A class by typing a part of its name. */
    await page.keyboard.press('c');
    await page.keyboard.type('yin');
    await page.waitForSelector('#box-labels li');
    assert.deepEqual(await page.$$eval('#box-labels li', (rows) => rows.map((row) => row.textContent)),
        ['yin yang', 'yin']);
    await page.keyboard.press('Enter');
    await settle(page);
    assert.deepEqual((await listed(page)).slice(-1), ['yin yang 40 × 35']);

    /* The keyboard alone: a box in the middle, moved and resized pixel by pixel. */
    await page.keyboard.press('n');
    const { width, height } = shape;
    const fresh = { w: Math.round(width * 3 / 4) - Math.round(width / 4),
        h: Math.round(height * 3 / 4) - Math.round(height / 4) };
    assert.deepEqual((await listed(page)).slice(-1), [`yin yang ${fresh.w} × ${fresh.h}`]);
    for (const key of ['ArrowRight', 'ArrowRight', 'ArrowUp', 'Shift+ArrowRight', 'Shift+ArrowDown']) {
        await page.keyboard.press(key);
    }
    await settle(page);
    const step = await page.evaluate(() => Math.max(1, Math.round(1 / Math.min(
        document.getElementById('pane').clientWidth / window.pictureSize.width,
        document.getElementById('pane').clientHeight / window.pictureSize.height, 6))));
    assert.deepEqual((await listed(page)).slice(-1),
        [`yin yang ${fresh.w + step} × ${fresh.h + step}`]);
    await page.keyboard.press('Delete');
    await settle(page);
    assert.equal((await listed(page)).length, 2);

    /* The rest of the strip by the keyboard: accept, nothing there. */
    const first = await listed(page);
    await page.keyboard.press('a');
    await correctable(page, 'starfish.jpg');
    await page.keyboard.press('a');
    await correctable(page, 'yin_yang.jpg');
    await page.keyboard.press('x');
    await page.waitForFunction(() => document.getElementById('review-count').textContent ===
        '3 of 3 reviewed');
    assert.deepEqual(await page.$$eval('#strip li', (rows) => rows.map((row) => row.dataset.verdict)),
        ['corrected', 'accepted', 'corrected']);

    /* A reload loses nothing. */
    await until(async () => (await stored(page, 'notes')).length === 3);
    await page.reload();
    await page.waitForFunction(() => document.getElementById('strip-count').textContent ===
        '3 pictures');
    await page.click('#strip li:nth-child(1) .thumb');
    await page.waitForFunction(() => document.querySelectorAll('#drawn li').length === 2);
    assert.deepEqual(await listed(page), first);
    assert.equal(await verdict(page), 'corrected');

    /* Into files. */
    const coco = JSON.parse((await saved(page, 'coco')).toString());
    assert.deepEqual(coco.images.map(({ file_name: name }) => name), names);
    assert.deepEqual(coco.annotations.map(({ image_id: id }) => id), [1, 1, 2]);
    for (const [format, head] of [['yolo', 'PK'], ['voc', 'PK'], ['label-studio', '[{'], ['csv', 'fi']]) {
        assert.equal((await saved(page, format)).subarray(0, 2).toString(), head);
    }

    /* Into the server's directory: the same boxes, ends as the reference has them. What is wrong with one
     * picture keeps no other back. */
    const refuse = async (route) => route.fulfill({ status: 400, contentType: 'application/problem+json',
        body: '{"title":"Bad Request","detail":"a label is too long"}' });
    await page.route('**/annotations/umbrella.jpg', refuse);
    await page.click('#send');
    await page.waitForFunction(() => document.getElementById('send-note').textContent ===
        'umbrella.jpg: a label is too long');
    assert.deepEqual(readdirSync(join(kept, 'set/images')).sort(), names.slice(1).sort());
    await page.unroute('**/annotations/umbrella.jpg', refuse);
    await page.click('#send');
    await page.waitForFunction(() => /Everything/.test(document.getElementById('send-note').textContent));
    const lines = readFileSync(join(kept, 'set/metadata/val/localization.txt'), 'utf8').trim().split('\n');
    const wanted = coco.annotations.filter(({ category_id: id, image_id: image }) =>
        coco.categories[id - 1].name === 'umbrella' || image === 2).map(({ bbox, image_id: id }) => {
        const { x0, y0, x1, y1 } = square(bbox);
        const { file_name: name, width: w, height: h } = coco.images[id - 1];
        return [name, x0, y0, Math.min(x1 + 1, w - 1), Math.min(y1 + 1, h - 1)].join();
    });
    assert.deepEqual(lines.sort(), wanted.sort());
    assert.deepEqual(readdirSync(join(kept, 'set/images')).sort(), [...names].sort());

    /* Where another picture has its name meanwhile, it is sent under a new one. A label is as long as the
     * server takes. */
    const other = new URL('annotations/umbrella.jpg', server.url);
    await fetch(other, { method: 'DELETE' });
    assert.equal((await fetch(other, { method: 'PUT', headers: { 'Content-Type': 'image/jpeg' },
        body: readFileSync(join(examples, 'starfish.jpg')) })).status, 200);
    await page.click('#drawn li:nth-child(1) .drawn-box');
    await page.fill('#box-label', `${'a'.repeat(199)} 상자`);
    await page.press('#box-label', 'Enter');
    await page.click('#send');
    await page.waitForFunction(() => /^Everything|:/.test(document.getElementById('send-note').textContent));
    assert.match(await page.textContent('#send-note'), /Everything/);
    const { boxes } = await (await fetch(new URL('annotations/umbrella-2.jpg', server.url))).json();
    assert.equal(boxes[0].label, 'a'.repeat(199));
    await shot(page, 'review');
    await accessible(page, 'while boxes are corrected');
    await page.done();
});

it('what the model has not answered is not accepted', async () => {
    const page = await open(browser, server.url);
    await page.route('**/localize?*', () => {});
    await page.setInputFiles('#files', names.slice(0, 2).map((name) => join(examples, name)));
    await page.waitForFunction(() => parseInt(document.getElementById('zoom-level').textContent) > 0);
    await page.keyboard.press('e');
    await page.waitForSelector('#correct-tools:not([hidden])');
    await settle(page);
    assert.equal(await page.isDisabled('#correct-accept'), true);
    await page.keyboard.press('a');
    await settle(page);
    assert.equal(await page.textContent('#review-count'), '0 of 2 reviewed');
    assert.match(await page.textContent('#live'), /not drafted/);
    /* Nor is it taken away as a picture without boxes. */
    assert.equal(await page.textContent('#export-what'), 'nothing yet');
    assert.equal(await page.isDisabled('#export-save'), true);
    /* That nothing is on it can be said at any time. */
    await page.keyboard.press('x');
    await page.waitForFunction(() => document.getElementById('review-count').textContent ===
        '1 of 2 reviewed');
    await page.done();
});

it('a finger draws and resizes, two fingers zoom', async () => {
    const page = await open(browser, server.url,
        { width: 390, height: 800, hasTouch: true, isMobile: true });
    await add(page, [join(examples, 'starfish.jpg')]);
    await page.tap('#correct');
    const shape = await page.evaluate(async () => {
        const image = await createImageBitmap(await (await fetch('examples/starfish.jpg')).blob());
        return { width: image.width, height: image.height };
    });
    await size(page, shape.width, shape.height);
    const session = await page.context().newCDPSession(page);
    const touch = async (type, ...points) => session.send('Input.dispatchTouchEvent', {
        type, touchPoints: points.map(({ x, y }, id) => ({ x, y, id })),
    });
    const rows = await page.$$eval('#drawn li', (list) => list.length);
    const a = await placed(page, 2, 2);
    const b = await placed(page, 42, 62);
    await touch('touchStart', a);
    await touch('touchMove', { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
    await touch('touchMove', b);
    await touch('touchEnd');
    await page.waitForFunction((n) => document.querySelectorAll('#drawn li').length === n + 1, rows);
    assert.match((await listed(page)).at(-1), /^starfish 4[01] × 6[01]$/);
    /* A second finger: what the first one did was nothing. */
    const drawn = await listed(page);
    const c = await placed(page, shape.width / 2, shape.height / 2);
    const d = { x: c.x - 60, y: c.y - 60 };
    await touch('touchStart', c);
    await touch('touchMove', { x: c.x - 10, y: c.y - 10 });
    await touch('touchStart', { x: c.x - 10, y: c.y - 10 }, d);
    await touch('touchMove', { x: c.x + 30, y: c.y + 30 }, { x: d.x - 30, y: d.y - 30 });
    await touch('touchEnd');
    await page.waitForFunction(() => parseInt(document.getElementById('zoom-level').textContent) > 90);
    await settle(page);
    assert.deepEqual(await listed(page), drawn);
    await shot(page, 'review-phone');
    await accessible(page, 'on a phone');
    await page.done();
});
