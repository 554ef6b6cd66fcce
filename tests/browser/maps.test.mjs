/* The page's choices of how the map is made: query parameters, and the time they take, which is the
 * server's estimate (engine/wsol/map_views.c): pixels of all views over those of the input, and two
 * runs of the upper network for each class with another layer. Run by `node --test`. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { page } from './support/page.mjs';

const maps = await page('maps.js');

const plain = maps.ownMap();
const own = maps.ownMap({ map_flip: true, map_scales: [0.5, 1], map_layer: 'gradcam:blocks.4' });

test('only what differs from the model is asked for', () => {
    assert.deepEqual(maps.mapQuery(plain, { flip: null, scales: null, layer: null }), {});
    assert.deepEqual(maps.mapQuery(plain, { flip: true, scales: '1,1.43' }),
        { map_flip: 'true', map_scales: '1,1.43' });
    assert.deepEqual(maps.mapQuery(own, { flip: true, scales: '0.5,1' }), {});
    assert.deepEqual(maps.mapQuery(own, { flip: false, scales: '1', layer: 'none' }),
        { map_flip: 'false', map_scales: '1', map_layer: 'none' });
});

test('the time grows with the pixels and the classes', () => {
    const close = (map, cost, model = { width: 224, height: 224 }) =>
        assert.ok(Math.abs(maps.mapCost(model, { ...plain, ...map }, 5) - cost) < 1e-9);
    close({}, 1);
    close({ flip: true }, 2);
    /* 1.43 x 224 = 320.3, and 320 = 224 + 6 x 16; 0.71 x 224 = 159.0, and 160 = 224 - 4 x 16. */
    close({ scales: '1,1.43' }, 1 + (320 / 224) ** 2);
    close({ scales: '0.71,1,1.43', flip: true }, 2 * (1 + (320 / 224) ** 2 + (160 / 224) ** 2));
    /* The scores are those of the image as it is, which the map then does without. */
    close({ scales: '1.43', flip: true }, 1 + 2 * (320 / 224) ** 2);
    /* 0.98 and 1 are the same size. */
    close({ scales: '0.98,1', flip: true }, 2);
    close({ layer: 'layercam:x' }, 11);
    /* Both sides are rounded: 80 x 48 at 1.43 is 114.4 x 68.6, and 112 x 64. */
    close({ scales: '1,1.43' }, 1 + (112 * 64) / (80 * 48), { width: 80, height: 48 });
});

test('the model decides which layer there is', () => {
    assert.deepEqual(maps.layerChoices(plain), []);
    assert.deepEqual(maps.layerChoices(own).map(([value]) => value),
        ['none', 'layercam:blocks.4', 'gradcam:blocks.4', 'gradcam++:blocks.4']);
    assert.deepEqual(maps.scaleChoices(plain).map(([value]) => value), ['1', '1,1.43', '0.71,1,1.43']);
    assert.deepEqual(maps.scaleChoices(own).at(-1), ['0.5,1', '0.5 and 1']);
    assert.equal(maps.describeMap(own), 'mirrored, scales 0.5 and 1, gradcam:blocks.4');
});
