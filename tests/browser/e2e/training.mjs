/* The page /training on the server, beside runs that are done and one that goes on, and the report of a
 * run as a file. Run by run.sh. */

import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { pathToFileURL } from 'node:url';

import { accessible, launch, missing, model, open, patience, serve, settle, shot } from '../support/browser.mjs';
import { makeData, train } from '../support/run.mjs';

const why = missing();
let browser;
let server;
let folder;

if (!why) {
    before(async () => {
        folder = mkdtempSync(join(tmpdir(), 'adl-training-'));
        makeData(join(folder, 'data'));
        mkdirSync(join(folder, 'runs'));
        train(join(folder, 'data'), join(folder, 'runs/adl'), 'adl', 4);
        train(join(folder, 'data'), join(folder, 'runs/cam'), 'cam', 3);
        server = await serve([['default', model]], ['--runs', join(folder, 'runs')]);
        browser = await launch();
    });
    after(async () => {
        await browser?.close();
        server?.stop();
        rmSync(folder, { recursive: true });
    });
}

const it = (name, run) => test(name, { skip: why || false, timeout: patience }, run);
const visit = (path, options) => open(browser, `${server.url}${path}`,
    { ready: '#status[data-state=live]', ...options });

/** Puts the slider of the epochs somewhere, as a drag does. */
const scrub = (page, at) => page.locator('#epoch').evaluate((range, to) => {
    range.value = to;
    range.dispatchEvent(new Event('input', { bubbles: true }));
}, String(at)).then(() => settle(page));

const heads = (page) => page.locator('.run-pictures h3').allTextContents();
const image = (page) => page.evaluate(() => document.querySelector('.sight canvas').toDataURL());

/** Waits until the pictures are of these epochs. */
const showing = (page, wanted) => page.waitForFunction((texts) => JSON.stringify(
    [...document.querySelectorAll('.run-pictures h3')].map((head) => head.textContent)) === texts,
JSON.stringify(wanted));

/** The pixels of the first map of a layer: how many colours it has, and its darkest and brightest. */
const layerMap = (page) => page.evaluate(() => {
    const canvas = document.querySelector('.layer-row canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const sums = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i] + data[4 * i + 1] + data[4 * i + 2]);
    return { least: Math.min(...sums), most: Math.max(...sums) };
});

it('runs are chosen, compared and shared by the address', async () => {
    const page = await visit('training');
    await page.waitForSelector('.chart path.curve');
    assert.deepEqual(await page.locator('.run .run-name').allTextContents(), ['adl', 'cam']);
    assert.equal(await page.locator('.run[aria-pressed=true]').count(), 2);
    assert.match(await page.locator('.run-what').first().textContent(), /^adl · mobilenet_v1.* · 4 epochs · 12 images$/);
    await showing(page, ['adl, epoch 4', 'cam, epoch 3']);
    /* Between two epochs there is nothing. */
    assert.deepEqual(await page.locator('.chart').first().locator('text[text-anchor=middle]').allTextContents(),
        ['1', '2', '3', '4']);
    await accessible(page, 'two runs');
    await shot(page, 'training', true);
    /* The values under the cursor are those of metrics.jsonl. */
    const losses = ['adl', 'cam'].map((name) => JSON.parse(readFileSync(
        join(folder, 'runs', name, 'metrics.jsonl'), 'utf8').trim().split('\n')[1]).train_loss);
    const chart = await page.locator('.chart svg').first().boundingBox();
    await page.mouse.move(chart.x + chart.width * (50 + (520 - 62) / 3) / 520, chart.y + chart.height / 2);
    const said = await page.locator('.tip').first().allTextContents();
    assert.match(said[0], /^epoch 2/);
    for (const loss of losses) {
        assert.ok(said[0].includes(String(Number(loss.toPrecision(3)))), `${said[0]}: ${loss}`);
    }
    await page.mouse.move(0, 0);
    assert.equal(await page.locator('.tip').first().isHidden(), true);
    /* The same by the keyboard. */
    await page.locator('.chart svg').first().focus();
    await page.keyboard.press('ArrowRight');
    assert.match(await page.locator('.tip').first().textContent(), /^epoch 1/);

    await page.locator('.run', { hasText: 'cam' }).click();
    await showing(page, ['adl, epoch 4']);
    assert.equal(new URL(page.url()).hash, '#run=adl');
    await page.fill('#filter', 'ca');
    assert.deepEqual(await page.locator('.run .run-name').allTextContents(), ['adl', 'cam']);
    const shared = page.url();
    await page.done();
    const other = await open(browser, shared, { ready: '#status[data-state=live]' });
    await showing(other, ['adl, epoch 4']);
    await other.done();
});

it('the slider goes through the epochs, and layers show what they hide', async () => {
    const page = await visit('training#run=adl', { allow: [/ERR_FAILED/] });
    await showing(page, ['adl, epoch 4']);
    assert.equal(await page.locator('.sight').count(), 12);
    /* A picture that was lost on its way comes with the next look at the runs. */
    await page.route('**/training/picture?*', (route) => route.abort(), { times: 1 });
    await Promise.all([page.waitForEvent('requestfailed'), page.reload()]);
    await settle(page);
    await page.evaluate(() => window.dispatchEvent(new Event('hashchange')));
    await page.waitForFunction(() => document.querySelectorAll('.sight').length === 12);
    const last = await image(page);
    await scrub(page, 0);
    await showing(page, ['adl, epoch 1']);
    assert.equal(await page.locator('#epoch-out').textContent(), '1');
    assert.equal(await page.locator('#epoch').getAttribute('aria-valuetext'), 'epoch 1');
    assert.notEqual(await image(page), last);
    const seen = JSON.parse(readFileSync(join(folder, 'runs/adl/pictures/epoch-0001.json'), 'utf8'));
    assert.match(await page.locator('.sight figcaption').first().textContent(),
        new RegExp(`IoU ${seen.pictures[0].iou.toFixed(2)}, `));
    /* Without the map the picture is the same in every epoch, but for the box. */
    await page.uncheck('#heat');
    await settle(page);
    const plain = await image(page);
    assert.notEqual(plain, last);
    await page.check('#heat');
    await page.click('#play');
    await showing(page, ['adl, epoch 4']);
    await page.waitForSelector('#play[aria-pressed=false]');
    assert.equal(await image(page), last);

    const rows = await page.locator('.layer-row').count();
    assert.equal(rows, seen.pictures[0].layers.length);
    const map = await layerMap(page);
    assert.ok(map.least < 40 && map.most > 500, JSON.stringify(map));
    const buttons = page.locator('#layer-pictures button');
    assert.equal(await buttons.count(), 4);
    await buttons.nth(2).click();
    await page.waitForSelector('#layer-pictures button:nth-child(3)[aria-pressed=true]');
    await accessible(page, 'layers');
    await shot(page, 'layers', true);
    await page.done();
});

it('a run that goes on grows on the page', async () => {
    const live = join(folder, 'runs/live');
    const lines = readFileSync(join(folder, 'runs/adl/metrics.jsonl'), 'utf8').trim().split('\n');
    mkdirSync(live);
    copyFileSync(join(folder, 'runs/adl/run.json'), join(live, 'run.json'));
    writeFileSync(join(live, 'metrics.jsonl'), `${lines[0]}\n`);
    try {
        const page = await visit('training#run=live');
        await page.waitForSelector('.chart circle');
        assert.equal(await page.locator('#pictures-card').isHidden(), true);
        /* Half a line is no line. */
        appendFileSync(join(live, 'metrics.jsonl'), lines[1].slice(0, 40));
        await page.waitForTimeout(2500);
        assert.match(await page.locator('.chart svg').first().getAttribute('aria-label'),
            new RegExp(`last ${Number(JSON.parse(lines[0]).train_loss.toPrecision(3))}`));
        appendFileSync(join(live, 'metrics.jsonl'), `${lines[1].slice(40)}\n`);
        await page.waitForFunction((last) => document.querySelector('.chart svg')
            .getAttribute('aria-label').includes(`last ${last}`),
        Number(JSON.parse(lines[1]).train_loss.toPrecision(3)));
        cpSync(join(folder, 'runs/adl/pictures'), join(live, 'pictures'), { recursive: true });
        await showing(page, ['live, epoch 4']);
        await page.done();
    } finally {
        rmSync(live, { recursive: true });
    }
});

it('on a phone nothing is wider than the screen', async () => {
    for (const [name, options] of [['phone', { width: 390, height: 844 }], ['dark', { colorScheme: 'dark' }],
        ['forced', { forcedColors: 'active' }], ['wide', { width: 2560, height: 1440 }]]) {
        const page = await visit('training', options);
        await showing(page, ['adl, epoch 4', 'cam, epoch 3']);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), name);
        await accessible(page, name);
        await shot(page, `training-${name}`, true);
        await page.done();
    }
});

it('a report shows the epochs without a server', async () => {
    const url = pathToFileURL(join(folder, 'runs/adl/report.html')).href;
    for (const [name, options] of [['report', {}], ['phone', { width: 390, height: 844 }],
        ['dark', { colorScheme: 'dark' }], ['forced', { forcedColors: 'active' }],
        ['wide', { width: 2560, height: 1440 }]]) {
        const page = await open(browser, url, { ready: '.sight canvas', ...options });
        await showing(page, ['Epoch 4']);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), name);
        await accessible(page, name);
        await shot(page, `report-${name}`, true);
        if (name === 'report') {
            const last = await image(page);
            await scrub(page, 1);
            await showing(page, ['Epoch 2']);
            assert.notEqual(await image(page), last);
            const seen = JSON.parse(readFileSync(join(folder, 'runs/adl/pictures/epoch-0002.json'), 'utf8'));
            assert.match(await page.locator('.sight figcaption').nth(4).textContent(),
                new RegExp(`IoU ${seen.pictures[4].iou.toFixed(2)}, `));
            assert.equal(await page.locator('.layer-row').count(), seen.pictures[0].layers.length);
            assert.equal(await page.locator('.sight b').nth(11).textContent(), '</script> & yin yang');
            /* Best, worst and random are different pictures. */
            const titles = await page.locator('#gallery figure').evaluateAll((all) => all.map(({ title }) => title));
            assert.equal(titles.length, 12);
            assert.equal(new Set(titles).size, 12);
            /* A value under the cursor of a curve. */
            await page.locator('#curves svg').first().hover({ position: { x: 90, y: 60 } });
            assert.equal(await page.locator('#curves .at').evaluateAll((all) => all.filter((place) =>
                getComputedStyle(place.querySelector('text')).opacity === '1').length), 1);
        }
        await page.done();
    }
    /* Without scripts everything else is there. */
    const plain = await open(browser, url, { ready: '#gallery', javaScriptEnabled: false });
    assert.equal(await plain.locator('#pictures-card').isVisible(), false);
    assert.equal(await plain.locator('noscript').isVisible(), true);
    await plain.done();
});
