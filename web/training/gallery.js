/* The pictures of val of the chosen runs, side by side, after the epoch that the slider says, and the
 * maps of the layers of one picture. */

import { $, element, input, short } from './dom.js';
import { inferno, paintGrid, paintPicture } from './paint.js';
import * as server from './server.js';

/** @typedef {import('./server.js').Picture} Picture */
/** @typedef {import('./server.js').Sight} Sight */
/** @typedef {{name: string, colour: string}} Chosen */
/** @typedef {{pictures: Picture[], epochs: number[], bitmaps: (Promise<ImageBitmap> | undefined)[],
 *    sights: Map<number, Promise<Sight[]>>}} Album */

const MOST_SIGHTS = 60; /* epochs of a run whose pictures are kept in memory */
const PLAY_MS = 700;

/** @type {Map<string, Album>} */
const albums = new Map();
/** @type {Chosen[]} */
let chosen = [];
/** @type {number[]} of all chosen runs, rising */
let epochs = [];
let layerPicture = 0;
let follows = true; /* the slider stays at the last epoch while it is there */
let drawing = 0;    /* the number of the last drawing that was begun */
/** @type {number | undefined} */
let timer;

/** Reads the list of the pictures of a run anew, and keeps what is in memory if they are the same.
 * @param {string} name */
async function refresh(name) {
    const { pictures = [], epochs: drawn = [] } = await server.pictures(name);
    const old = albums.get(name);
    const same = old && JSON.stringify(old.pictures) === JSON.stringify(pictures) &&
        old.epochs.every((epoch) => drawn.includes(epoch));
    if (old && same) old.epochs = drawn;
    else albums.set(name, { pictures, epochs: drawn, bitmaps: [], sights: new Map() });
}

/** The last epoch of an album up to one.
 * @param {Album} album @param {number} epoch */
function epochUpTo(album, epoch) {
    return album.epochs.filter((drawn) => drawn <= epoch).at(-1);
}

/** @param {string} name @param {Album} album @param {number} epoch */
function sightsOf(name, album, epoch) {
    let found = album.sights.get(epoch);
    if (!found) {
        found = server.sights(name, epoch).then((answer) => answer.pictures ?? []);
        found.catch(() => album.sights.delete(epoch));
        album.sights.set(epoch, found);
        const oldest = album.sights.keys().next().value;
        if (album.sights.size > MOST_SIGHTS && oldest !== undefined) album.sights.delete(oldest);
    }
    return found;
}

/** @param {string} name @param {Album} album @param {number} number */
function bitmapOf(name, album, number) {
    let found = album.bitmaps[number];
    if (!found) {
        found = server.picture(name, number);
        found.catch(() => { album.bitmaps[number] = undefined; });
        album.bitmaps[number] = found;
    }
    return found;
}

/** @param {Picture} picture @param {Sight | undefined} sight */
function caption(picture, sight) {
    const words = element('figcaption', {}, element('b', { text: picture.label }), element('br'));
    if (!sight) return words;
    words.append(sight.iou === undefined ? '' : `IoU ${sight.iou.toFixed(2)}, `,
        `${(100 * sight.score).toFixed(0)} %`);
    if (sight.top !== picture.label) {
        words.append(element('br'), element('span', { className: 'soft',
            text: `taken for ${sight.top}, ${(100 * sight.top_score).toFixed(0)} %` }));
    }
    return words;
}

/** The run and the epoch; a report shows one run, which has no name there.
 * @param {Chosen} run @param {number | undefined} epoch */
function headOf(run, epoch) {
    const at = epoch === undefined ? '' : `epoch ${epoch}`;
    return run.name ? [run.name, at].filter(Boolean).join(', ') : at.replace('e', 'E');
}

/** @param {Chosen} run @param {number} epoch */
async function drawRun(run, epoch) {
    const album = albums.get(run.name);
    const at = album && epochUpTo(album, epoch);
    const group = element('div', { className: 'run-pictures' },
        element('h3', { text: headOf(run, at) }));
    group.style.setProperty('--run', run.colour);
    if (!album || at === undefined) {
        group.append(element('p', { className: 'fine', text: 'No pictures of this epoch.' }));
        return group;
    }
    const sights = await sightsOf(run.name, album, at);
    const shots = await Promise.all(album.pictures.map(async (picture, i) => {
        const canvas = /** @type {HTMLCanvasElement} */ (element('canvas', { role: 'img' }));
        const sight = sights[i];
        const bitmap = await bitmapOf(run.name, album, i);
        paintPicture(canvas, bitmap, { width: picture.width, height: picture.height,
            truth: picture.boxes ?? [], found: sight?.box ?? null,
            map: input('heat').checked && sight ? sight.map : null });
        canvas.setAttribute('aria-label', `${picture.label}${sight?.iou === undefined ? ''
            : `, the predicted box has IoU ${sight.iou.toFixed(2)}`}`);
        return element('figure', { className: 'sight', title: picture.id },
            element('div', { className: 'sight-frame' }, canvas), caption(picture, sight));
    }));
    group.append(element('div', { className: 'sights' }, ...shots));
    return group;
}

/** @param {import('./server.js').Layer} layer */
function drawLayer(layer) {
    const canvases = ['attention', 'drop mask', 'importance'].map((name) =>
        /** @type {HTMLCanvasElement} */ (element('canvas', { role: 'img', 'aria-label': name })));
    const [attention, mask, importance] = canvases;
    const { least = 0, most = 0 } = layer.attention;
    const cut = most > least ? (255 * (layer.cut - least)) / (most - least) : 256;
    paintGrid(attention, layer.attention, (byte) => [...inferno(byte), 255]);
    paintGrid(mask, layer.attention, (byte) => (byte >= cut ? [255, 176, 64, 255] : [58, 66, 86, 255]));
    paintGrid(importance, layer.importance, (byte) => [...inferno(byte), 255]);
    return element('div', { className: 'layer-row' }, ...canvases,
        element('p', {}, element('b', { text: layer.name }),
            ` ${layer.height} × ${layer.width}: attention ${short(least)} to ${short(most)}, ` +
            `hides ${(100 * layer.hidden).toFixed(1)} %, factors ` +
            `${short(layer.importance.least ?? 0)} to ${short(layer.importance.most ?? 0)}` +
            `${layer.importance_used ? '' : ' (not used)'}`));
}

/** @param {number} epoch */
async function drawLayers(epoch) {
    const found = [];
    let pictures = /** @type {Picture[]} */ ([]);
    for (const run of chosen) {
        const album = albums.get(run.name);
        const at = album && epochUpTo(album, epoch);
        if (!album || at === undefined) continue;
        const sights = await sightsOf(run.name, album, at);
        const seen = sights.flatMap((sight, i) => (sight.layers?.length ? [i] : []));
        if (seen.length === 0) continue;
        pictures = seen.map((i) => album.pictures[i]);
        const layers = sights[seen[Math.min(layerPicture, seen.length - 1)]].layers ?? [];
        const part = element('div', { className: 'layer-run' },
            element('h3', { text: headOf(run, at) }), ...layers.map(drawLayer));
        part.style.setProperty('--run', run.colour);
        found.push(part);
    }
    return { found, pictures };
}

async function draw() {
    const mine = ++drawing;
    const at = Number(input('epoch').value);
    const epoch = epochs[at] ?? 0;
    $('epoch-out').textContent = epochs.length ? String(epoch) : '–';
    const groups = await Promise.all(chosen.map((run) => drawRun(run, epoch)));
    const { found, pictures } = await drawLayers(epoch);
    if (mine !== drawing) return; /* the slider has moved on */
    $('pictures').replaceChildren(...groups);
    $('layers-card').hidden = found.length === 0;
    $('layers').replaceChildren(...found);
    $('layer-pictures').replaceChildren(...pictures.map((picture, i) => {
        const button = element('button', { className: 'button', type: 'button', text: picture.label,
            'aria-pressed': String(i === Math.min(layerPicture, pictures.length - 1)) });
        button.addEventListener('click', () => {
            layerPicture = i;
            redraw();
        });
        return button;
    }));
}

function redraw() {
    draw().catch(() => {
        /* What is missing is asked for again with the next look at the runs. */
    });
}

/** Shows the pictures of these runs.
 * @param {(Chosen & {pictures: boolean})[]} runs */
export async function showGallery(runs) {
    chosen = runs.filter((run) => run.pictures);
    $('pictures-card').hidden = chosen.length === 0;
    if (chosen.length === 0) $('layers-card').hidden = true;
    await Promise.all(chosen.map((run) => refresh(run.name)));
    const before = epochs.join();
    epochs = [...new Set(chosen.flatMap((run) => albums.get(run.name)?.epochs ?? []))]
        .sort((a, b) => a - b);
    const slider = input('epoch');
    slider.max = String(Math.max(epochs.length - 1, 0));
    if (follows) slider.value = slider.max;
    slider.setAttribute('aria-valuetext', `epoch ${epochs[Number(slider.value)] ?? 0}`);
    if (before !== epochs.join() || $('pictures').childElementCount !== chosen.length ||
        chosen.some((run, i) => !$('pictures').children[i]?.textContent?.startsWith(run.name))) {
        redraw();
    }
}

function stop() {
    clearInterval(timer);
    timer = undefined;
    $('play').setAttribute('aria-pressed', 'false');
    $('play').textContent = 'Play';
}

function moved() {
    const slider = input('epoch');
    follows = slider.value === slider.max;
    slider.setAttribute('aria-valuetext', `epoch ${epochs[Number(slider.value)] ?? 0}`);
    redraw();
}

export function startGallery() {
    input('epoch').addEventListener('input', () => {
        stop();
        moved();
    });
    input('heat').addEventListener('change', redraw);
    $('play').addEventListener('click', () => {
        if (timer !== undefined) {
            stop();
            return;
        }
        const slider = input('epoch');
        if (slider.value === slider.max) slider.value = '0';
        $('play').setAttribute('aria-pressed', 'true');
        $('play').textContent = 'Stop';
        moved();
        timer = window.setInterval(() => {
            slider.value = String(Number(slider.value) + 1);
            moved();
            if (slider.value === slider.max) stop();
        }, PLAY_MS);
    });
}
