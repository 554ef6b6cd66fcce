/* The page /about, the card of a model, and the pages that links lead to. Run by run.sh. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import {
    accessible, colours, launch, missing, open, patience, root, serve, settle, shot, until,
} from '../support/browser.mjs';

const why = missing();
let browser;
let server;

if (!why) {
    before(async () => {
        server = await serve();
        browser = await launch();
    });
    after(async () => {
        await browser?.close();
        server?.stop();
    });
}

const it = (name, run) => test(name, { skip: why || false, timeout: patience }, run);
const about = (options) => open(browser, `${server.url}about`, { ready: '#demo:not([hidden])', ...options });
const text = (page, id) => page.locator(`#${id}`).textContent();

const cutAt = (page, value) => page.locator('#cut').evaluate((range, to) => {
    range.value = to;
    range.dispatchEvent(new Event('input', { bubbles: true }));
}, String(value)).then(() => settle(page));

/** How many positions the drop mask hides: its pixels that are orange. */
const hiddenIn = (page) => page.locator('#mask').evaluate((canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
        count += Number(data[i] === 255);
    }
    return { count, all: canvas.width * canvas.height };
});

it('the drop mask hides what exceeds the threshold that is dragged', async () => {
    const page = await about();
    await accessible(page, 'the method');
    await shot(page, 'about', true);
    /* The attention that is stored with the page. */
    const { layers } = JSON.parse(readFileSync(join(root, 'web/about/starfish.json'), 'utf8'));
    const buttons = page.locator('#layer button');
    assert.equal(await buttons.count(), layers.length);
    for (const [index, layer] of layers.entries()) {
        if (layers.length > 1) {
            await buttons.nth(index).click();
        }
        const bytes = Buffer.from(layer.attention.data, 'base64');
        const { least, most } = layer.attention;
        for (const cut of [0.3, 0.6, 0.9]) {
            await cutAt(page, cut);
            const hidden = [...bytes].filter((byte) => least + byte / 255 * (most - least) >= cut * most).length;
            const found = await hiddenIn(page);
            assert.equal(found.all, bytes.length);
            /* A map is stored in bytes, so that a position at the very edge may be on either side. */
            assert.ok(Math.abs(found.count - hidden) <= 1, `${layer.name} at ${cut}: ${found.count}, not ${hidden}`);
            assert.ok(await colours(page, 'attention') > 10);
        }
    }
    assert.match(await text(page, 'cut-out'), /^0\.90/);
    assert.match(await text(page, 'said'), /\d/);
    assert.match(await text(page, 'trained'), /^0\.\d+/);
    /* By the keyboard. */
    await page.focus('#cut');
    await page.keyboard.press('ArrowLeft');
    assert.match(await text(page, 'cut-out'), /^0\.89/);
    await page.done();
});

it('the method can be read on every screen', async () => {
    for (const [name, options] of [['phone', { width: 390, height: 844 }], ['dark', { colorScheme: 'dark' }],
        ['forced', { forcedColors: 'active' }], ['wide', { width: 2560, height: 1440 }]]) {
        const page = await about(options);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), name);
        await accessible(page, name);
        await shot(page, `about-${name}`, true);
        await page.done();
    }
});

it('the card says what the server says of its model and of itself', async () => {
    const page = await open(browser, server.url);
    const { models: [model] } = await (await fetch(`${server.url}models`)).json();
    await page.click('#card-open');
    await page.waitForSelector('#card[open] #card-server dd');
    const rows = async (id) => Object.fromEntries(await page.locator(`#${id} dl`).evaluateAll((lists) =>
        lists.flatMap((list) => [...list.querySelectorAll('dt')].map((term) =>
            [term.textContent, term.nextElementSibling.textContent]))));
    const card = await rows('card-model');
    assert.equal(await text(page, 'card-name'), 'default');
    assert.equal(card.parameters, `${(model.parameters / 1e6).toFixed(2)} million`);
    assert.equal(card['input, pixels'], model.input.size.toReversed().join(' × '));
    assert.equal(card.classes, String(model.classes.length));
    assert.equal(card.threshold, model.threshold.toFixed(3));
    assert.ok(card.digest.length === 16 && model.digest.startsWith(card.digest));
    await accessible(page, 'the card');
    await shot(page, 'card');
    /* The server's part is asked for again while the card is open. */
    const status = await (await fetch(`${server.url}status`)).json();
    const own = await rows('card-server');
    assert.equal(own.version, status.version);
    assert.match(own.queue, new RegExp(`^\\d+ of ${status.queue.capacity}$`));
    const asked = () => page.asked.filter((url) => url.endsWith('/status')).length;
    const before = asked();
    await until(() => asked() > before);
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#card').isVisible(), false);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'card-open');
    const closed = asked();
    await page.waitForTimeout(2600);
    assert.equal(asked(), closed);
    await page.done();

    const phone = await open(browser, server.url, { width: 390, height: 844, hasTouch: true, isMobile: true });
    await phone.tap('#card-open');
    await phone.waitForSelector('#card[open] #card-server dd');
    const place = await phone.locator('#card').boundingBox();
    assert.ok(place.x >= 0 && place.x + place.width <= 390, JSON.stringify(place));
    await accessible(phone, 'the card on a phone');
    /* It is read from its beginning. */
    assert.equal(await phone.locator('#card').evaluate((dialog) => dialog.scrollTop), 0);
    await shot(phone, 'card-phone');
    await phone.done();
});

it('links lead to the pages that there are', async () => {
    const page = await open(browser, server.url);
    /* Without --runs there is no page of training runs. */
    assert.equal(await page.locator('#training-link').isHidden(), true);
    await page.locator('footer a[href=about]').click();
    await page.waitForSelector('#demo:not([hidden])');
    await page.locator('.bar a', { hasText: 'Try it' }).click();
    await page.waitForSelector('#health[data-state=ready]');
    await page.done();
});
