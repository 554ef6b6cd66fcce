/* The page in a real browser, on the real server. See run.sh. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import {
    accessible, add, colours, launch, missing, model, open, patience, program, root, serve, settle, shot,
} from '../support/browser.mjs';

const why = missing();
const picture = join(root, 'tests/browser/picture.jpg');
const examples = ['umbrella', 'starfish', 'yin_yang'].map((name) =>
    join(root, `web/examples/${name}.jpg`));
let browser;
let server;
let folder;

if (!why) {
    before(async () => {
        folder = mkdtempSync(join(tmpdir(), 'adl-browser-'));
        /* A second model, whose maps are joined with those of another layer. */
        const layered = join(folder, 'layered.safetensors');
        execFileSync(program, ['convert', '--map-layer', 'blocks.10', model, layered], { stdio: 'pipe' });
        server = await serve([['default', model], ['layered', layered]]);
        browser = await launch();
    });
    after(async () => {
        await browser?.close();
        server?.stop();
        rmSync(folder, { recursive: true });
    });
}

const it = (name, run) => test(name, { skip: why || false, timeout: patience }, run);
const text = (page, id) => page.locator(`#${id}`).textContent();
const query = (page) => new URLSearchParams(new URL(page.url()).search);

/** Sets a slider as a drag does. */
const slide = (page, id, value) => page.locator(`#${id}`).evaluate((range, to) => {
    range.value = to;
    range.dispatchEvent(new Event('input', { bubbles: true }));
}, String(value)).then(() => settle(page));

/** The state of the address is written a moment after a change. */
const inAddress = (page, pattern) => page.waitForFunction(
    (wanted) => new RegExp(wanted).test(location.search), pattern);

it('a picture is named, painted and boxed', async () => {
    const page = await open(browser, server.url);
    await accessible(page, 'before the first picture');
    await page.focus('[data-pick=files]');
    await add(page, [picture]);
    await page.waitForSelector('#boxes .box-place');
    assert.equal(await page.locator('#problem').isHidden(), true);
    const count = await page.locator('#classes .class').count();
    assert.ok(count >= 1 && count <= 5);
    assert.match(await text(page, 'timing'), /total [0-9]/);
    assert.ok(await colours(page, 'picture') > 500, 'the picture is painted');
    assert.ok(await colours(page, 'canvas') > 100, 'the findings are painted');
    /* The button that had the focus is gone; it did not fall to the body. */
    assert.equal(await page.evaluate(() => document.activeElement.id), 'stage');
    /* An image with EXIF orientation is displayed upright: 160 x 240 of its pixels. */
    const shown = await page.evaluate(() => {
        const canvas = document.getElementById('picture');
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
        copy.drawImage(canvas, 0, 0);
        const { data, width, height } = copy.getImageData(0, 0, canvas.width, canvas.height);
        const box = { x0: width, x1: 0, y0: height, y1: 0 };
        for (let i = 3; i < data.length; i += 4) {
            if (data[i] > 0) {
                const at = (i - 3) / 4;
                box.x0 = Math.min(box.x0, at % width);
                box.x1 = Math.max(box.x1, at % width);
                box.y0 = Math.min(box.y0, Math.floor(at / width));
                box.y1 = Math.max(box.y1, Math.floor(at / width));
            }
        }
        return (box.x1 - box.x0 + 1) / (box.y1 - box.y0 + 1);
    });
    assert.ok(Math.abs(shown - 160 / 240) < 0.01, `${shown}`);
    await shot(page, 'result');
    await accessible(page, 'with a result');
    await page.done();
});

it('screen, JSON, curl command and address say the same', async () => {
    const page = await open(browser, server.url);
    await add(page, [examples[0]]);
    const sent = page.asked.filter((url) => url.includes('localize')).length;
    for (const [mode, threshold, chosen] of [['largest', 0.6, 0], ['all', 0.279, 0], ['objects', 0.2, 1]]) {
        await page.locator(`[name=regions][value=${mode}]`).check({ force: true });
        await page.locator('#threshold').evaluate((range) => { range.step = 'any'; });
        await slide(page, 'threshold', threshold);
        await page.locator('#classes .class').nth(chosen).click();
        await settle(page);
        assert.equal(await text(page, 'threshold-out'), threshold === 0.279 ? '0.279' : threshold.toFixed(2));
        await page.click('#copy-json');
        await page.waitForSelector('#copy-json.confirmed');
        const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
        await page.waitForSelector('#copy-json:not(.confirmed)');
        const url = /'(http:[^']*)'/.exec(await text(page, 'curl'))[1];
        const answer = await (await fetch(url, { method: 'POST',
            headers: { 'Content-Type': 'image/jpeg' }, body: readFileSync(examples[0]) })).json();
        const places = ({ predictions }) => predictions.map(({ class_id: id, boxes }) =>
            [id, ...boxes.map(({ x0, y0, x1, y1 }) => [x0, y0, x1, y1].join())]);
        assert.deepEqual(places(copied), places(answer), mode);
        const listed = await page.locator('#boxes .box-place').allTextContents();
        const shown = answer.predictions[0].boxes.slice(0, 6)
            .map(({ x0, y0, x1, y1 }) => `${x0}, ${y0} – ${x1}, ${y1}`);
        assert.deepEqual(listed, shown, mode);
        await inAddress(page, `threshold=${threshold}`);
        assert.equal(query(page).get('boxes') ?? 'largest', mode);
    }
    assert.equal(page.asked.filter((url) => url.includes('localize')).length, sent,
        'nothing was asked for but the picture');
    await page.done();
});

it('a view survives a reload, pictures included', async () => {
    const page = await open(browser, server.url);
    await add(page, [examples[0], examples[1]]);
    await page.keyboard.press('ArrowRight');
    await page.click('#zoom-in');
    await slide(page, 'threshold', 0.5);
    await page.selectOption('#colours', 'cividis');
    await inAddress(page, 'colours=cividis');
    await inAddress(page, 'view=');
    const [url, zoom, label, boxes] = [page.url(), await text(page, 'zoom-level'),
        await page.locator('#classes .class-name').first().textContent(), await text(page, 'boxes')];
    await page.reload();
    await page.waitForSelector('#strip > li[aria-current][data-status=done]');
    await page.waitForSelector('#boxes .box-place');
    await settle(page);
    assert.equal(page.url(), url);
    assert.equal(await page.locator('#strip > li').count(), 2);
    assert.deepEqual([await text(page, 'zoom-level'),
        await page.locator('#classes .class-name').first().textContent(), await text(page, 'boxes')],
    [zoom, label, boxes]);
    assert.equal(await text(page, 'threshold-out'), '0.50');
    await page.done();

    /* In another browser the picture is not there; with it, the view is. */
    const other = await open(browser, url);
    assert.equal(await other.locator('#missing').isVisible(), true);
    await add(other, [examples[1]]);
    /* The stage may have another size there; the part of the picture is the same. */
    await inAddress(other, 'picture=');
    assert.equal(query(other).get('view'), new URL(url).searchParams.get('view'));
    assert.equal(await text(other, 'threshold-out'), '0.50');
    await other.done();
    /* A picture that the server has needs nothing but the address. */
    const starfish = `${server.url}?picture=examples/starfish.jpg`;
    const served = await open(browser, `${starfish}&boxes=all&model=gone&beside=gone&difference=yes`);
    await served.waitForSelector('#boxes .box-place');
    assert.equal(await served.locator('[name=regions][value=all]').isChecked(), true);
    /* Models that the server does not have are left. */
    await inAddress(served, '^\\?picture=examples/starfish.jpg&boxes=all$');
    await served.done();
    /* A class that the second model does not have is no reason to wait. */
    const beside = await open(browser, `${starfish}&beside=layered&beside_class=no+such`,
        { allow: [/status of 400/] });
    await beside.waitForFunction(() => document.querySelectorAll('#compare-found li')[1]
        ?.textContent === 'layeredThe model does not have this class');
    await beside.done();
});

it('the wheel, the pointer and the keyboard move the picture', async () => {
    const page = await open(browser, server.url);
    await add(page, [examples[0], examples[1]]);
    const stage = await page.locator('#pane').boundingBox();
    /* In the middle of a pixel, not between two. */
    const middle = [stage.x + stage.width / 2 + 0.6, stage.y + stage.height / 2 + 0.6];
    const level = async () => parseInt(await text(page, 'zoom-level'), 10);
    const whole = await level();
    await page.mouse.move(...middle);
    await settle(page);
    const readout = await text(page, 'readout');
    assert.match(readout, /^2\d\d, 2\d\d {3}[01]\.\d\d umbrella$/);
    for (let i = 0; i < 40; i++) {
        await page.mouse.wheel(0, -300);
    }
    await settle(page);
    assert.equal(await level(), 6400, 'zoom ends at 64 pixels for each');
    await page.mouse.move(...middle);
    await settle(page);
    assert.equal(await text(page, 'readout'), readout, 'the point under the pointer stayed');
    await page.mouse.down();
    await page.mouse.move(middle[0] + 128, middle[1], { steps: 4 });
    await page.mouse.up();
    await settle(page);
    assert.equal(await text(page, 'readout'), readout, 'the picture moves with the pointer');
    await shot(page, 'pixels');
    await page.keyboard.press('0');
    await settle(page);
    assert.equal(await level(), whole);
    await page.keyboard.press('z');
    await settle(page);
    assert.equal(await level(), Math.max(100, whole));
    await page.keyboard.press('0');
    await page.keyboard.press('i');
    await page.keyboard.press('Shift+ArrowRight');
    await settle(page);
    await settle(page);
    assert.match(await text(page, 'live'), /^\d+, \d+ {3}/);
    await page.keyboard.press('Escape');
    const before = await text(page, 'threshold-out');
    await page.keyboard.press(']');
    await settle(page);
    assert.equal(Number(await text(page, 'threshold-out')), Number((Number(before) + 0.01).toFixed(3)));
    await page.keyboard.press('b');
    assert.equal(await page.locator('[name=regions][value=all]').isChecked(), true);
    await page.keyboard.press('?');
    assert.equal(await page.locator('#help').isVisible(), true);
    await accessible(page, 'the help');
    await page.keyboard.press('Escape');
    await page.keyboard.press('2');
    assert.equal(await page.locator('#classes .class').nth(1).getAttribute('aria-pressed'), 'true');
    await page.keyboard.press('ArrowRight');
    await settle(page);
    assert.match(await page.locator('#classes .class-name').first().textContent(), /starfish/);
    await page.done();
});

it('another picture moves nothing and shows no box of the one before', async () => {
    const page = await open(browser, server.url);
    await add(page, examples);
    await page.evaluate(() => {
        window.shifts = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) {
                window.shifts += entry.value;
            }
        }).observe({ type: 'layout-shift' });
        /* What is seen in each frame: the boxes of the list and the picture they stand beside. */
        window.seen = new Set();
        const look = () => {
            window.seen.add(document.getElementById('canvas').getAttribute('aria-label'));
            window.heights = (window.heights ?? new Set()).add(document.getElementById('stage').clientHeight);
            requestAnimationFrame(look);
        };
        look();
    });
    const first = await page.locator('#canvas').getAttribute('aria-label');
    const labels = [];
    for (let i = 0; i < 7; i++) {
        await page.keyboard.press(i % 4 < 2 ? 'ArrowRight' : 'ArrowLeft');
        await page.waitForFunction((before) =>
            document.getElementById('canvas').getAttribute('aria-label') !== before, labels.at(-1) ?? first);
        labels.push(await page.locator('#canvas').getAttribute('aria-label'));
    }
    assert.equal(await page.evaluate(() => window.shifts), 0, 'the layout shifts');
    assert.deepEqual(await page.evaluate(() => window.heights.size), 1);
    /* Each picture is described by its own boxes: three pictures, three descriptions. */
    const seen = await page.evaluate(() => [...window.seen]);
    assert.equal(new Set(seen.map((label) => label.split(':')[0])).size, seen.length, seen.join('\n'));
    assert.equal(new Set(labels).size, 3);
    /* A window that is only lower has a smaller picture. */
    const before = await text(page, 'zoom-level');
    await page.setViewportSize({ width: 1280, height: 600 });
    await page.waitForFunction((old) => document.getElementById('zoom-level').textContent !== old, before);
    await page.done();
});

it('the map can be made in other ways', async () => {
    const page = await open(browser, server.url, { allow: [/status of 400/] });
    await add(page, [picture]);
    const last = () => page.asked.filter((url) => url.includes('localize')).at(-1);
    const answered = async (pattern) => {
        await page.waitForFunction(() => document.querySelector('#strip > li').dataset.status === 'done');
        await settle(page);
        assert.match(decodeURIComponent(last()), pattern);
    };
    await page.locator('#map-panel summary').press('Enter');
    await page.locator('#map-flip').press(' ');
    await answered(/map_flip=true/);
    assert.match(await text(page, 'map-cost'), /about 2\.0 times/);
    await page.selectOption('#map-scales', '1,1.43');
    await answered(/map_flip=true&map_scales=1,1\.43/);
    assert.match(await text(page, 'curl'), /map_scales=1%2C1\.43/);
    assert.equal(await text(page, 'map-summary'), 'mirrored, scales 1 and 1.43');
    assert.equal(await page.locator('#map-layer-field').isHidden(), true);
    await page.click('#map-reset');
    await settle(page);
    assert.equal(await page.locator('#map-reset').isHidden(), true);
    await page.selectOption('#model', 'layered');
    await answered(/model=layered$/);
    assert.equal(await page.locator('#map-layer').inputValue(), 'layercam:blocks.10');
    /* More than --max-map-cost allows is refused in words, and can be taken back. */
    await page.locator('#map-flip').press(' ');
    await page.waitForSelector('#strip > li[data-status=error]');
    await settle(page);
    assert.match(await text(page, 'problem-detail'), /max-map-cost/);
    await accessible(page, 'a problem');
    await shot(page, 'problem');
    await page.locator('#map-flip').press(' ');
    await answered(/map_flip|model=layered/);
    assert.equal(await page.locator('#problem').isHidden(), true);
    await page.selectOption('#map-layer', 'none');
    await answered(/map_layer=none/);
    await page.done();
});

it('any class can be asked for, and one that is not there does not glow', async () => {
    const page = await open(browser, server.url);
    await add(page, [examples[0]]);
    await page.uncheck('#outline');
    await settle(page);
    const bright = await colours(page, 'canvas');
    const field = page.locator('#other-class');
    await field.fill('banan');
    assert.deepEqual(await page.locator('#class-options li').allTextContents(), ['banana']);
    await accessible(page, 'suggestions');
    await shot(page, 'search');
    await field.press('ArrowDown');
    assert.equal(await field.getAttribute('aria-activedescendant'), 'class-option-0');
    await field.press('Enter');
    await page.waitForSelector('#boxes .hardly');
    assert.match(await text(page, 'boxes'), /banana is hardly seen/);
    assert.ok(await colours(page, 'canvas') < 0.7 * bright, 'it does not glow');
    await inAddress(page, 'class=banana');
    const rows = page.locator('#classes .class');
    const count = await rows.count();
    /* Asking again adds nothing. */
    await field.fill('banana');
    await field.press('Enter');
    await settle(page);
    assert.equal(await rows.count(), count);
    await field.fill('no such thing');
    await field.press('Enter');
    assert.match(await text(page, 'other-note'), /nothing like “no such thing”/);
    await field.fill('b');
    assert.equal(await text(page, 'other-note'), '');
    await field.press('Escape');
    assert.equal(await page.locator('#class-options').isHidden(), true);
    await shot(page, 'absent');
    await page.done();
});

it('two models of one picture side by side, and their difference', async () => {
    const page = await open(browser, server.url);
    await add(page, [examples[0]]);
    await page.click('#compare');
    await page.waitForFunction(() => document.querySelectorAll('#compare-found b').length === 2 &&
        [...document.querySelectorAll('#compare-found b')].every((score) => score.textContent));
    await settle(page);
    assert.equal(await page.locator('#pane-beside').isVisible(), true);
    assert.match(await text(page, 'title-beside'), /^layered · umbrella/);
    assert.match(await text(page, 'compare-overlap'), /[01]\.\d\d \(IoU\)/);
    assert.ok(await colours(page, 'canvas-beside') > 100);
    await accessible(page, 'comparing');
    await shot(page, 'compare');
    await inAddress(page, 'beside=layered');
    /* Linked: the cursor of one is drawn in the other, and both zoom. */
    const stage = await page.locator('#pane').boundingBox();
    await page.mouse.move(stage.x + stage.width / 2, stage.y + stage.height / 2);
    await settle(page);
    assert.match(await text(page, 'readout'), /umbrella.*umbrella/);
    const image = () => page.evaluate(() => document.getElementById('picture-beside').toDataURL());
    const before = await image();
    await page.mouse.wheel(0, -300);
    await settle(page);
    assert.notEqual(await image(), before);
    /* Another class in the second pane alone. */
    const lamp = await page.locator('#beside-class option').nth(2).getAttribute('value');
    await page.selectOption('#beside-class', lamp);
    await page.waitForFunction(() => !/umbrella/.test(document.getElementById('title-beside').textContent));
    await page.check('#difference');
    await settle(page);
    assert.equal(await page.locator('#pane-beside').isHidden(), true);
    assert.ok(await colours(page, 'canvas') > 50);
    await shot(page, 'difference');
    await inAddress(page, 'difference=yes');
    await page.reload();
    await page.waitForSelector('#compare-panel:not([hidden])');
    assert.equal(await page.isChecked('#difference'), true);
    await page.click('#compare-swap');
    assert.equal(await page.locator('#model').inputValue(), 'layered');
    await page.click('#compare-close');
    assert.equal(await page.locator('#compare-panel').isHidden(), true);
    await page.done();
});

it('of the pair that ships, one trained with ADL and one without, both maps are a click away', async () => {
    const pair = await serve([], ['--example']);
    try {
        const page = await open(browser, `${pair.url}?picture=examples/umbrella.jpg`);
        await page.waitForSelector('html[data-late=there]', { state: 'attached' });
        await page.waitForSelector('#boxes .box-place');
        assert.equal(await page.locator('#compare-offer').textContent(), 'CAM beside ADL');
        await page.click('#compare');
        await page.waitForFunction(() => [...document.querySelectorAll('#compare-found .compare-model')]
            .map((name) => name.textContent).join() === 'cam,adl');
        await page.waitForFunction(() => [...document.querySelectorAll('#compare-found b')]
            .every((score) => score.textContent));
        assert.match(await page.locator('#title').textContent(), /^cam · /);
        assert.match(await page.locator('#title-beside').textContent(), /^adl · /);
        /* The values under the cursor are not behind the tools for boxes. */
        const stage = await page.locator('#pane').boundingBox();
        await page.mouse.move(stage.x + stage.width / 2, stage.y + stage.height / 2);
        await settle(page);
        const [readout, tools] = await page.evaluate(() => [document.getElementById('readout'),
            document.querySelector('.correct-bar')].map((node) => node.getBoundingClientRect().toJSON()));
        assert.ok(readout.width > 0 && readout.top >= tools.bottom);
        await page.done();
    } finally {
        pair.stop();
    }
});

it('on a phone the picture stays in view, its threshold beneath it', async () => {
    const page = await open(browser, server.url, { width: 390, height: 844, hasTouch: true, isMobile: true });
    await add(page, examples);
    /* A tap anywhere on a small picture shows it; only the current one can be removed. */
    await page.locator('#strip > li:nth-child(2) .thumb').scrollIntoViewIfNeeded();
    const corner = await page.locator('#strip > li:nth-child(2) .thumb').boundingBox();
    await page.touchscreen.tap(corner.x + corner.width - 4, corner.y + 4);
    await page.waitForSelector('#strip > li:nth-child(2)[aria-current] .thumb-remove');
    assert.equal(await page.locator('#strip > li').count(), 3);
    await page.tap('#strip > li:nth-child(2) .thumb-remove');
    await page.waitForFunction(() => document.querySelectorAll('#strip > li').length === 2);
    await page.tap('#strip > li:nth-child(1) .thumb');
    await settle(page);
    const places = () => page.evaluate(() => ['stage', 'threshold', 'boxes'].map((id) =>
        document.getElementById(id).getBoundingClientRect().toJSON()));
    await page.evaluate(() => window.scrollTo(0, 500));
    const [stage, threshold] = await places();
    assert.ok(stage.top >= 0 && threshold.top >= stage.bottom && threshold.bottom < 844);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 390), 'it scrolls sideways');
    /* The choice of the model has a name where its word is hidden. */
    assert.equal(await page.getByLabel('Model', { exact: true }).first().getAttribute('id'), 'model');
    await accessible(page, 'on a phone');
    await shot(page, 'phone');
    await page.done();
});

it('a server that wants a token gets it, and nothing is lost meanwhile', async () => {
    const tokens = join(folder, 'tokens');
    writeFileSync(tokens, 'open-sesame\n');
    const closed = await serve([['default', model]], ['--token-file', tokens]);
    try {
        const page = await open(browser, closed.url, { allow: [/status of (401|502)/] });
        await page.waitForSelector('#token-form:not([hidden])');
        await accessible(page, 'asked for a token');
        await page.setInputFiles('#files', [picture]);
        await page.waitForSelector('#strip > li[data-status=waiting]');
        await page.fill('#token', '“open-sesame”');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#token-wrong:not([hidden])');
        await page.fill('#token', 'wrong');
        await Promise.all([page.waitForResponse('**/models'), page.keyboard.press('Enter')]);
        await page.waitForSelector('#token-wrong:not([hidden])');
        let models = 0;
        await page.route('**/models', async (route) => {
            models++;
            /* The first time somebody between is in the way. */
            await (models === 1 ? route.fulfill({ status: 502, body: 'no gateway' }) : route.continue());
        });
        await page.fill('#token', 'open-sesame');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#strip > li[data-status=done]');
        await settle(page);
        assert.equal(await page.locator('#token-form').isHidden(), true);
        assert.match(await text(page, 'curl'), /Authorization: Bearer \$TOKEN/);
        assert.doesNotMatch(page.url(), /sesame/);
        await page.done();
    } finally {
        closed.stop();
    }
});

it('a model that is replaced is asked about all pictures again', async () => {
    const file = join(folder, 'replaced.safetensors');
    copyFileSync(model, file);
    const other = await serve([['default', file]]);
    try {
        const page = await open(browser, other.url);
        await add(page, [examples[0]]);
        const next = join(folder, 'next.safetensors');
        execFileSync(program, ['convert', '--threshold', '0.5', model, next], { stdio: 'pipe' });
        renameSync(next, file);
        process.kill(other.pid, 'SIGHUP');
        while (JSON.parse(await (await fetch(`${other.url}models`)).text()).models[0].threshold !== 0.5) {
            await new Promise((resolve) => { setTimeout(resolve, 50); });
        }
        const asked = (path) => page.asked.filter((url) => new URL(url).pathname === path).length;
        const models = asked('/models');
        assert.equal(asked('/localize'), 1);
        await page.setInputFiles('#files', [examples[1]]);
        /* The answer about the second picture tells; then the first one is asked about again. */
        await page.waitForFunction(() => document.getElementById('threshold-out').textContent === '0.50');
        await page.waitForFunction(() => [...document.querySelectorAll('#strip > li[data-status=done]')]
            .length === 2);
        await settle(page);
        assert.equal(asked('/models'), models + 1);
        assert.equal(asked('/localize'), 3);
        await page.done();
    } finally {
        other.stop();
    }
});

it('dark and forced colours can be read', async () => {
    for (const [name, options] of [['dark', { colorScheme: 'dark' }], ['forced', { forcedColors: 'active' }],
        ['wide', { width: 2560, height: 1440 }]]) {
        const page = await open(browser, server.url, options);
        await add(page, [examples[2]]);
        await accessible(page, name);
        await shot(page, name);
        if (name === 'forced') {
            /* Sliders and bars are drawn by the system, or in its colours. */
            const drawn = await page.evaluate(() => [
                getComputedStyle(document.getElementById('threshold')).appearance,
                getComputedStyle(document.querySelector('.bar-fill')).backgroundColor]);
            assert.equal(drawn[0], 'auto');
            assert.notEqual(drawn[1], 'rgba(0, 0, 0, 0)');
        }
        await page.done();
    }
});
