/* Compares the boxes on the page with the server's, over HTTP: each picture at each threshold, for
 * the largest box, all boxes and objects. By default a few pictures of the repository;
 * ADL_TEST_PHOTOS=DIR takes the first fifty of a directory, which takes minutes. ADL_SERVER and
 * ADL_TEST_MODEL as in objects.test.mjs. Run by `node --test`. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { model, program, root, serve } from './support/browser.mjs';
import { page } from './support/page.mjs';

const { boxesOf } = await page('answers.js');
const { ownMap } = await page('maps.js');
const { objectRule } = await page('objects.js');

const photos = process.env.ADL_TEST_PHOTOS;

const THRESHOLDS = photos
    ? [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.279, 0.3, 0.34, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95]
    : [0, 0.1, 0.279, 0.5, 0.8];
const MODES = photos ? ['largest', 'all'] : ['largest', 'all', 'objects'];

function pictures() {
    const list = (dir) => readdirSync(dir).filter((name) => /\.(jpg|png)$/.test(name)).sort()
        .map((name) => join(dir, name));
    return photos ? list(photos).slice(0, 50)
        : [...list(join(root, 'web/examples')), join(root, 'tests/browser/picture.jpg')];
}

/** Starts the server and gives its address. */
async function start(t) {
    const server = await serve();
    t.after(server.stop);
    return server.url;
}

async function ask(url, path, query) {
    const type = path.endsWith('.png') ? 'image/png' : 'image/jpeg';
    const response = await fetch(`${url}localize?${new URLSearchParams(query)}`,
        { method: 'POST', headers: { 'Content-Type': type }, body: readFileSync(path) });
    assert.equal(response.status, 200, path);
    return response.json();
}

test('the boxes on the page are the server’s', async (t) => {
    if (!existsSync(program) || !existsSync(model)) {
        return t.skip('no program or no model');
    }
    const url = await start(t);
    while ((await fetch(`${url}readyz`)).status !== 200) {
        await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    const { models } = await (await fetch(`${url}models`)).json();
    const [height, width] = models[0].input.size;
    const known = { width, height, map: ownMap(models[0].cam), objects: objectRule(models[0].cam) };
    let equal = 0;
    const different = [];
    for (const path of pictures()) {
        const answer = await ask(url, path, { heatmap: 'array' });
        const [prediction] = answer.predictions;
        for (const threshold of THRESHOLDS) {
            for (const boxes of MODES) {
                const theirs = (await ask(url, path, { threshold, boxes })).predictions[0].boxes
                    .map(({ x0, y0, x1, y1, score }) => ({ x0, y0, x1, y1, score }));
                const ours = boxesOf(prediction, known, threshold, boxes, answer.image);
                const place = ({ x0, y0, x1, y1 }) => [x0, y0, x1, y1].join();
                const same = theirs.map(place).join(';') === ours.map(place).join(';') &&
                    theirs.every((box, i) => Math.abs(box.score - ours[i].score) < 1e-4);
                equal += Number(same);
                if (!same) {
                    different.push(`${path} ${boxes} ${threshold}: ${theirs.map(place)}, page ${ours.map(place)}`);
                }
            }
        }
    }
    const total = pictures().length * THRESHOLDS.length * MODES.length;
    t.diagnostic(`${equal} of ${total} are equal`);
    assert.equal(equal, total, different.slice(0, 5).join('\n'));
});
