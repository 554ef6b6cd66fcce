/* The main path in Debian's Firefox: a picture is named and boxed as the server does it, zoomed, compared
 * with another class, corrected and taken away; /about and a report work. Run by run.sh; skipped where
 * firefox-esr is not installed. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { missing, model, patience, root, serve } from '../support/browser.mjs';
import { launchFirefox, missingFirefox, openInFirefox } from '../support/firefox.mjs';
import { makeData, train } from '../support/run.mjs';

const why = missing() || missingFirefox();
const example = join(root, 'web/examples/umbrella.jpg');
let firefox;
let server;
let folder;

if (!why) {
    before(async () => {
        folder = mkdtempSync(join(tmpdir(), 'adl-firefox-data-'));
        makeData(join(folder, 'data'));
        mkdirSync(join(folder, 'runs'));
        train(join(folder, 'data'), join(folder, 'runs/adl'), 'adl', 2);
        server = await serve([['default', model]], ['--annotations', join(folder, 'boxes'),
            '--runs', join(folder, 'runs')]);
        firefox = await launchFirefox();
    }, { timeout: patience });
    after(async () => {
        await firefox?.close();
        server?.stop();
        rmSync(folder, { recursive: true });
    });
}

const it = (name, run) => test(name, { skip: why || false, timeout: patience }, run);
const keep = async (page, name) => {
    if (process.env.OUT) {
        mkdirSync(process.env.OUT, { recursive: true });
        await page.shot(join(process.env.OUT, `firefox-${name}.png`));
    }
};

it('Firefox: a picture is named and boxed as the server says', async () => {
    const page = await openInFirefox(firefox, server.url);
    await page.waitFor(() => document.querySelector('#health[data-state=ready]') !== null);
    await page.setFiles('#files', [example]);
    await page.waitFor(() => document.querySelector('#boxes .box-place') !== null &&
        document.documentElement.dataset.late === 'there');
    const answer = await (await fetch(`${server.url}localize?top_k=1`, { method: 'POST',
        headers: { 'Content-Type': 'image/jpeg' }, body: readFileSync(example) })).json();
    const [{ label, boxes: [box] }] = answer.predictions;
    assert.equal(await page.evaluate(() => document.querySelector('#classes .class-name').textContent), label);
    assert.equal(await page.evaluate(() => document.querySelector('#boxes .box-place').textContent),
        `${box.x0}, ${box.y0} – ${box.x1}, ${box.y1}`);
    const painted = await page.evaluate(() => ['picture', 'canvas'].map((id) => {
        const canvas = document.getElementById(id);
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
    }));
    assert.ok(painted[0] > 500 && painted[1] > 100, painted.join());
    await keep(page, 'result');

    /* Threshold, zoom and address. */
    await page.evaluate(() => {
        const range = document.getElementById('threshold');
        range.value = '0.6';
        range.dispatchEvent(new Event('input', { bubbles: true }));
    });
    await page.waitFor(() => location.search.includes('threshold=0.6'));
    const stage = await page.evaluate(() => {
        const { left, top, width, height } = document.getElementById('pane').getBoundingClientRect();
        return { left, top, width, height };
    });
    const middle = [Math.round(stage.left + stage.width / 2), Math.round(stage.top + stage.height / 2)];
    const level = await page.text('zoom-level');
    await page.wheel(middle, -300);
    await page.waitFor((before) => document.getElementById('zoom-level').textContent !== before, level);
    await page.press('0');
    await page.waitFor((before) => document.getElementById('zoom-level').textContent === before, level);

    /* Beside another class. */
    await page.click('#compare');
    await page.waitFor(() => !document.getElementById('pane-beside').hidden &&
        document.querySelectorAll('#compare-found b').length === 2);
    await keep(page, 'compare');
    await page.press('c');
    await page.waitFor(() => document.getElementById('compare-panel').hidden);

    /* Corrected, and sent to the server. */
    await page.press('e');
    await page.waitFor(() => !document.getElementById('correct-tools').hidden &&
        document.querySelectorAll('#drawn li').length === 1);
    const corner = [Math.round(middle[0] - stage.height * 0.3), Math.round(middle[1] + stage.height * 0.22)];
    await page.drag(corner, [corner[0] + 40, corner[1] + 30]);
    await page.waitFor(() => document.querySelectorAll('#drawn li').length === 2);
    await page.waitFor(() => !document.getElementById('send').disabled);
    await page.evaluate(() => document.getElementById('send').click());
    await page.waitFor(() => document.getElementById('send').disabled);
    const { annotations: [kept] } = await (await fetch(`${server.url}annotations`)).json();
    assert.equal(kept.name, 'umbrella.jpg');
    assert.equal(kept.boxes.length ?? kept.boxes, 2);
    await keep(page, 'correct');
    await page.done();
});

it('Firefox: training runs, the method and a report', async () => {
    const training = await openInFirefox(firefox, `${server.url}training`);
    await training.waitFor(() => document.querySelectorAll('.sight canvas').length === 12 &&
        document.querySelector('.chart path.curve') !== null);
    await keep(training, 'training');
    await training.done();
    const about = await openInFirefox(firefox, `${server.url}about`);
    await about.waitFor(() => !document.getElementById('demo').hidden);
    const said = await about.text('said');
    await about.evaluate(() => {
        const range = document.getElementById('cut');
        range.value = '0.4';
        range.dispatchEvent(new Event('input', { bubbles: true }));
    });
    await about.waitFor((before) => document.getElementById('said').textContent !== before, said);
    await about.done();
});
