/* Compares the objects that the page finds in a map with those of the program, whose maps it takes
 * from `localize --json` (ADL_SERVER, by default build/adl-server; ADL_TEST_MODEL, by default the
 * model that ships). Run by `node --test`. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { page } from './support/page.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const web = join(here, '../../web');

const arithmetic = await page('boxes.js');
const { objectBoxes, objectRule } = await page('objects.js');

const program = process.env.ADL_SERVER ?? join(here, '../../build/adl-server');
const model = process.env.ADL_TEST_MODEL ?? join(here, '../../models/default.safetensors');

test('a peak is an object if its saddle is low', () => {
    const map = [0, 0.1, 0.6, 1, 0.6, 0.4, 0.5, 0.8, 0.5, 0.1, 0];
    const mask = arithmetic.foreground(map, 0.3);
    const boxes = (prominence, area) =>
        objectBoxes(map, mask, 11, 1, { prominence, area }).map(({ x0, x1 }) => [x0, x1]);
    assert.deepEqual(boxes(0.49, 0.27), [[2, 5], [6, 8]]);
    assert.deepEqual(boxes(0.51, 0.27), [[2, 8]]);
    assert.deepEqual(boxes(0.49, 0.28), [[2, 8]]);
    assert.deepEqual(objectRule(), { prominence: 0.1, area: 0.1 });
    assert.deepEqual(objectRule({ object_area: 0.02 }), { prominence: 0.1, area: 0.02 });
});

/* The maps of many classes of a picture, most of which are not in it, have many peaks. */
test('the page finds the objects that the program finds', (t) => {
    if (!existsSync(program) || !existsSync(model)) {
        return t.skip('no program or no model');
    }
    const run = (...args) => JSON.parse(execFileSync(program, args, { maxBuffer: 1 << 28 }));
    const info = run('info', model, '--json');
    const [height, width] = info.input.size;
    const pictures = ['starfish', 'umbrella', 'yin_yang'].map((name) =>
        join(web, 'examples', `${name}.jpg`));
    const rules = [[], ['--map', 'reference'], ['--map-normalise=pas', '--map-percentile=0.8']];
    let several = 0;
    for (const picture of pictures) {
        for (const rule of rules) {
            const answer = run('localize', '--model', model, '--json', '--boxes', 'objects',
                '--heatmap', 'array', '--top-k', '30', '--threshold', '0.3', ...rule, picture);
            for (const prediction of answer.predictions) {
                const unclipped = arithmetic.unclippedMap(prediction.heatmap, width, height);
                const map = arithmetic.clip(unclipped);
                const mask = arithmetic.foreground(map, 0.3);
                const ours = objectBoxes(unclipped, mask, width, height, objectRule(info.cam))
                    .map((box) => ({ ...box, score: arithmetic.meanInside(map, width, box) }))
                    .map((box) => arithmetic.scaleBox(box, width, height, answer.image.width,
                        answer.image.height));
                const what = `${picture} ${rule} ${prediction.label}`;
                assert.equal(ours.length, prediction.boxes.length, what);
                several += ours.length > 1;
                /* A pixel of the map, which the answer's rounding may move, is `unit` wide. */
                const unit = 2 * Math.max(answer.image.width / width, answer.image.height / height);
                prediction.boxes.forEach((box, i) => {
                    for (const side of ['x0', 'y0', 'x1', 'y1']) {
                        assert.ok(Math.abs(box[side] - ours[i][side]) <= unit,
                            `${what}: ${JSON.stringify(box)} ${JSON.stringify(ours[i])}`);
                    }
                    assert.ok(Math.abs(box.score - ours[i].score) < 0.02, what);
                });
            }
        }
    }
    assert.ok(several > 8, `${several} maps have several objects`);
});
