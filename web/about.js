/* The demonstration on the page about the method: what a layer would hide at a threshold. The attention
 * was computed by the model that ships; the file is an answer of
 *
 *     adl-server attention web/examples/starfish.jpg
 *
 * In the layer, A is the mean over the channels; positions with A >= threshold * max(A) are hidden when
 * it drops, and otherwise everything is multiplied by sigmoid(A) (engine/methods/adl.c). */

import { $, element, input, short } from './training/dom.js';
import { bytesOf, inferno, paintGrid } from './training/paint.js';

/** @typedef {import('./training/server.js').Layer} Layer */

/** @type {Layer[]} */
let layers = [];
let chosen = 0;
/** @type {ImageBitmap | null} */
let picture = null;

/** @param {string} id */
function canvas(id) {
    return /** @type {HTMLCanvasElement} */ ($(id));
}

/** The attention of each position.
 * @param {Layer} layer @returns {number[]} */
function attentionOf({ attention }) {
    const { least = 0, most = 0 } = attention;
    return Array.from(bytesOf(attention), (byte) => least + ((most - least) * byte) / 255);
}

/** @param {Layer} layer @param {number[]} attention @param {number} cut */
function paintHidden(layer, attention, cut) {
    const target = canvas('hidden');
    const context = /** @type {CanvasRenderingContext2D} */ (target.getContext('2d'));
    const { width, height } = target;
    context.clearRect(0, 0, width, height);
    if (picture) context.drawImage(picture, 0, 0, width, height);
    const w = width / layer.width;
    const h = height / layer.height;
    attention.forEach((value, i) => {
        if (value < cut) return;
        const x = (i % layer.width) * w;
        const y = Math.floor(i / layer.width) * h;
        context.fillStyle = 'rgb(20 11 52 / 88%)';
        context.fillRect(x, y, w, h);
        context.strokeStyle = '#ffb040';
        context.lineWidth = 2;
        context.strokeRect(x + 1, y + 1, w - 2, h - 2);
    });
}

function draw() {
    const layer = layers[chosen];
    const threshold = Number(input('cut').value);
    const attention = attentionOf(layer);
    const most = Math.max(...attention);
    const cut = threshold * most;
    const hidden = attention.filter((value) => value >= cut).length;
    const { least: low = 0, most: high = 0 } = layer.attention;
    paintHidden(layer, attention, cut);
    paintGrid(canvas('attention'), layer.attention, (byte) => [...inferno(byte), 255]);
    paintGrid(canvas('mask'), layer.attention, (byte) =>
        (low + ((high - low) * byte) / 255 >= cut ? [255, 176, 64, 255] : [58, 66, 86, 255]));
    paintGrid(canvas('importance'), layer.importance, (byte) => [...inferno(byte), 255]);
    $('cut-out').textContent = threshold.toFixed(2);
    const share = `${hidden} of ${attention.length} positions`;
    $('said').textContent = `At ${threshold.toFixed(2)} the layer hides ${share} ` +
        `(${((100 * hidden) / attention.length).toFixed(1)} %): those with an attention of ` +
        `${short(cut)} or more. When it does not drop, it multiplies by ` +
        `${short(layer.importance.least ?? 0)} to ${short(layer.importance.most ?? 0)}.`;
    canvas('hidden').setAttribute('aria-label', `The drawing of a starfish, with ${share} hidden`);
    canvas('attention').setAttribute('aria-label', 'The attention of the layer');
    canvas('mask').setAttribute('aria-label', `The drop mask: ${share} hidden`);
    canvas('importance').setAttribute('aria-label', 'The importance map');
    [...$('layer').children].forEach((button, i) =>
        button.setAttribute('aria-pressed', String(i === chosen)));
}

async function start() {
    const [answer, image] = await Promise.all(['about/starfish.json', 'examples/starfish.jpg']
        .map((path) => fetch(path)));
    ({ layers } = await answer.json());
    picture = await createImageBitmap(await image.blob());
    /* The threshold of the training: the cut as a share of the greatest attention. */
    const trained = layers[0].cut / (layers[0].attention.most ?? 1);
    $('trained').textContent = trained.toFixed(2);
    input('cut').value = trained.toFixed(2);
    $('layer').replaceChildren(...layers.map((layer, i) => {
        const button = element('button', { className: 'button', type: 'button',
            text: layer.name.replace('adl.after_', 'after ') });
        button.addEventListener('click', () => {
            chosen = i;
            draw();
        });
        return button;
    }));
    input('cut').addEventListener('input', draw);
    $('demo').hidden = false;
    draw();
}

start().catch(() => {
    $('demo-missing').hidden = false;
});
