/* What the page costs to open: the bytes of the first view, what comes late and when, and that nothing is
 * lost that is done before it came. Run by run.sh. */

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { launch, missing, open, patience, root, serve, settle } from '../support/browser.mjs';

const why = missing();
const example = join(root, 'web/examples/umbrella.jpg');
/* Headers included, as they are on the wire. */
const FIRST_VIEW_BYTES = 60e3;
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

/** The bytes of an answer, with its headers. */
const transferred = (url, coding) => new Promise((resolve, reject) => {
    get(url, { agent: false, headers: { 'Accept-Encoding': coding } }, (response) => {
        assert.equal(response.headers['content-encoding'], coding);
        response.resume().on('end', () => resolve(response.socket.bytesRead));
    }).on('error', reject);
});

const it = (name, run) => test(name, { skip: why || false, timeout: patience }, run);
const late = (page) => page.asked.filter((url) => url.includes('/late/')).length;
const there = (page) => page.waitForSelector('html[data-late=there]', { state: 'attached' });

/** Holds what is asked for at `urls` back until the function that this returns is called. */
async function hold(page, urls) {
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await page.route(urls, async (route) => {
        await held;
        await route.continue();
    });
    return release;
}

it('the first view takes at most 60 kB', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    const received = new Map();
    const names = new Map();
    await session.send('Network.enable');
    session.on('Network.responseReceived', ({ requestId, response }) =>
        names.set(requestId, `${new URL(response.url).pathname} ${response.headers['Content-Encoding'] ?? ''}`));
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) =>
        received.set(requestId, encodedDataLength));
    await page.goto(server.url);
    await page.waitForSelector('#examples:not([hidden])');
    /* Longer than any part of the page waits without a person. */
    await page.waitForTimeout(2500);
    const rows = [...received].map(([id, bytes]) => [names.get(id), bytes]);
    const sizes = rows.filter(([name]) => !name.startsWith('/health'));
    const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
    assert.ok(total <= FIRST_VIEW_BYTES, `${total} bytes: ${JSON.stringify(sizes)}`);
    /* Browsers take brotli over TLS and from this machine alone; others get gzip. */
    const page0 = sizes.find(([name]) => name.startsWith('/ '))[1];
    const byGzip = total - page0 + await transferred(server.url, 'gzip');
    assert.ok(byGzip <= FIRST_VIEW_BYTES, `${byGzip} bytes by gzip`);
    for (const name of ['/', '/models']) {
        const row = sizes.find(([each]) => each.split(' ')[0] === name);
        assert.match(row[0], / (br|gzip)$/, 'what is text is compressed');
    }
    if (process.env.OUT) {
        console.log(`# ${total} bytes, by gzip ${byGzip}: ${JSON.stringify(sizes)}`);
    }
    await context.close();
});

it('the tools come with the first sign of a person, or the first picture', async () => {
    const page = await open(browser, server.url);
    await page.waitForTimeout(1000);
    assert.equal(late(page), 0);
    await page.mouse.move(300, 300);
    await there(page);
    assert.equal(late(page), 1);
    await page.setInputFiles('#files', [example]);
    await page.waitForSelector('#actions:not([hidden])');
    assert.equal(late(page), 1);
    await page.done();

    const other = await open(browser, `${server.url}?picture=examples/umbrella.jpg`);
    await there(other);
    await other.done();
});

it('what is done before the tools are there is done when they are', async () => {
    const page = await open(browser, server.url);
    const release = await hold(page, '**/late/**');
    await page.click('#card-open');
    await settle(page);
    assert.equal(await page.locator('#card').isVisible(), false);
    await page.setInputFiles('#files', [example]);
    await page.waitForSelector('#boxes .box-place');
    release();
    await page.waitForSelector('#card[open]');
    await page.waitForSelector('#actions:not([hidden])');
    await page.keyboard.press('Escape');
    await page.done();

    /* A key as well. */
    const other = await open(browser, `${server.url}?picture=examples/umbrella.jpg`);
    await other.keyboard.press('e');
    await other.waitForSelector('#correct-tools:not([hidden])');
    await other.done();
});

it('what is done while the picture of the address is fetched is done when it is there', async () => {
    let release;
    /* The examples on the empty page are held as well, so that the page is not loaded. */
    const page = await open(browser, `${server.url}?picture=examples/umbrella.jpg`, {
        prepare: async (opened) => { release = await hold(opened, '**/examples/**'); },
        until: 'domcontentloaded' });
    await page.click('#card-open');
    await page.keyboard.press('e');
    await settle(page);
    release();
    await page.waitForSelector('#correct-tools:not([hidden])');
    await page.waitForSelector('#card[open]');
    await page.done();
});

it('a part that does not arrive is said', async () => {
    const page = await open(browser, server.url, { allow: [/ERR_FAILED|Failed to load/] });
    await page.route('**/late/**', (route) => route.abort());
    await page.click('#card-open');
    await page.waitForSelector('#tools-missing:not([hidden])');
    /* The rest works. */
    await page.setInputFiles('#files', [example]);
    await page.waitForSelector('#boxes .box-place');
    await page.done();
});
