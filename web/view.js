/* What the page shows: the state it is made from, and the functions that update every
 * part of the page from that state. Nothing here sends a request or changes a choice;
 * app.js does that. */

import * as api from './api.js';
import * as draw from './draw.js';
import { changedMap, describeMap, layerChoices, mapCost, mapQuery, ownMap, scaleChoices } from './maps.js';
import { objectBoxes, objectRule } from './objects.js';

export const $ = (id) => document.getElementById(id);

const SHOWN_BOXES = 6;
/* Classes that a request asks for (api.js). */
const CLASSES = 5;
/* Below this `present`, the page says that a class is hardly seen. */
const HARDLY_SEEN = 0.5;

export const state = {
    items: [],      /* images, in order of arrival; see addFiles() */
    current: null,
    models: [],
    model: '',      /* '': the server's default */
    token: '',
    opacity: 0.65,
    threshold: null, /* null: the model's default */
    regions: 'largest', /* or 'all' or 'objects': the boxes to show */
    map: { flip: null, scales: null, layer: null }, /* null: the model's own; see maps.js */
    outline: true,
};

/* --- small helpers ------------------------------------------------------- */

export function element(tag, { className = '', text = '', ...attributes } = {}, ...children) {
    const node = document.createElement(tag);
    node.className = className;
    node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) {
        node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
}

function icon(name) {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg');
    svg.setAttribute('class', 'icon');
    const use = document.createElementNS(space, 'use');
    use.setAttribute('href', `#i-${name}`);
    svg.append(use);
    return svg;
}

export const percent = (v) => `${(v * 100).toFixed(v < 0.0995 ? 1 : 0)} %`;
export const readable = (label) => label.replaceAll('_', ' ');

function milliseconds(v) {
    return v < 10 ? `${v.toFixed(1)} ms` : v < 1000 ? `${Math.round(v)} ms`
        : `${(v / 1000).toFixed(2)} s`;
}

export function announce(text) {
    $('live').textContent = text;
}

/* --- maps and boxes ------------------------------------------------------ */

export function modelOf(item) {
    return state.models.find((model) => model.name === item.result?.model) || requestedModel();
}

/* The model that requests are for. */
function requestedModel() {
    return state.models.find((model) => model.name === state.model) || state.models[0] ||
        { width: 224, height: 224, threshold: 0.35, map: ownMap(), objects: objectRule() };
}

/* The query parameters of the map that the user wants. */
export function requestedMap() {
    return mapQuery(requestedModel().map, state.map);
}

function thresholdOf(item) {
    /* A class may have a threshold of its own. */
    return state.threshold ?? predictionsOf(item)[item.chosen]?.threshold ??
        modelOf(item).threshold;
}

/* The best classes of the answer, then those that the user looked for. */
export function predictionsOf(item) {
    return item.result ? [...item.result.predictions, ...item.extra] : [];
}

/* The map of the chosen prediction at the model's input size, {unclipped, map, width, height,
 * heat}, or null if the answer contains none. */
function mapOf(item) {
    const { heatmap, present } = predictionsOf(item)[item.chosen] || {};
    if (!heatmap) {
        return null;
    }
    if (!item.maps[item.chosen]) {
        const { width, height } = modelOf(item);
        const unclipped = draw.unclippedMap(heatmap, width, height);
        const map = draw.clip(unclipped);
        const heat = draw.colourMap(map, width, height, present);
        item.maps[item.chosen] = { unclipped, map, width, height, heat };
    }
    return item.maps[item.chosen];
}

/* The classes of the model, as suggestions while typing. */
let suggested = null;
function showSuggestions(classes = []) {
    if (classes !== suggested) {
        suggested = classes;
        $('class-names').replaceChildren(...classes.map((label) =>
            element('option', { value: readable(label) })));
    }
}

/* The boxes to show, in pixels of the map. */
function boxesOf(item, { unclipped, map, width, height }) {
    const threshold = thresholdOf(item);
    if (state.regions !== 'objects') {
        return draw.boxesFromMap(map, width, height, threshold, state.regions === 'all');
    }
    const mask = draw.foreground(map, threshold);
    return objectBoxes(unclipped, mask, width, height, modelOf(item).objects)
        .map((box) => ({ ...box, score: draw.meanInside(map, width, box) }));
}

/* The arguments of draw.paint() except for the canvas. */
export function sceneOf(item) {
    const found = mapOf(item);
    const { width: imageWidth, height: imageHeight } = item.result?.image || item.bitmap;
    const scene = {
        picture: item.bitmap, heat: null, opacity: state.opacity, lines: [], boxes: [],
        imageWidth, imageHeight,
    };
    if (!found) {
        return scene;
    }
    const { map, width, height } = found;
    const threshold = thresholdOf(item);
    const prediction = predictionsOf(item)[item.chosen];
    scene.heat = found.heat;
    scene.boxes = boxesOf(item, found)
        .map((box) => draw.scaleBox(box, width, height, imageWidth, imageHeight));
    if (!(prediction.present < HARDLY_SEEN)) {
        /* The confidence is that of a class that is there. */
        scene.boxes = draw.withConfidence(scene.boxes, prediction.boxes);
    }
    scene.boxes.forEach((box) => {
        box.label = scene.boxes.length > 1 ? box.score.toFixed(2)
            : `${readable(prediction.label)}  ${percent(prediction.score)}`;
    });
    if (state.outline) {
        scene.lines = draw.levelLines(map, width, height,
            (Math.trunc(threshold * 255) + 1) / 255);
    }
    return scene;
}

/* --- showing ------------------------------------------------------------- */

export function show() {
    const item = state.current;
    $('empty').hidden = item !== null;
    $('work').hidden = item === null;
    document.title = item ? `${item.name} – adl-server` : 'adl-server';
    showStrip();
    if (item) {
        showClasses(item);
        showProblem(item);
        showControls(item);
        showMap();
        schedulePaint();
    }
}

export function showStrip() {
    const strip = $('strip');
    const rows = new Map([...strip.children].map((row) => [row.item, row]));
    for (const item of state.items) {
        const row = rows.get(item) || makeThumb(item);
        rows.delete(item);
        row.dataset.status = item.status;
        const thumb = row.firstChild;
        const status = { waiting: 'waiting', busy: 'being analysed', error: 'failed' }[item.status];
        thumb.setAttribute('aria-label', status ? `${item.name}, ${status}` : item.name);
        if (item === state.current) {
            row.setAttribute('aria-current', 'true');
        } else {
            row.removeAttribute('aria-current');
        }
        if (!row.parentNode) {
            strip.append(row);
        }
    }
    for (const row of rows.values()) {
        row.remove();
    }
    strip.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function makeThumb(item) {
    const image = element('img', { alt: '', draggable: 'false', decoding: 'async' });
    image.addEventListener('error', () => image.replaceWith(icon('image')));
    image.src = item.url;
    const thumb = element('button', { className: 'thumb', type: 'button', title: item.name },
        image, element('span', { className: 'thumb-state' }));
    const remove = element('button', {
        className: 'thumb-remove', type: 'button', 'aria-label': `Remove ${item.name}`,
    }, icon('close'));
    const row = element('li', {}, thumb, remove);
    row.item = item;
    return row;
}

function showClasses(item) {
    const list = $('classes');
    const predictions = predictionsOf(item);
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...predictions.map((prediction, index) => {
        const bar = element('span', { className: 'bar-fill' });
        bar.style.setProperty('--share', prediction.score);
        const button = element('button', {
            className: 'class', type: 'button', 'aria-pressed': String(index === item.chosen),
        },
        element('span', { className: 'rank', text: String(index + 1), 'aria-hidden': 'true' }),
        element('span', { className: 'class-name', text: readable(prediction.label) }),
        element('span', { className: 'class-score', text: percent(prediction.score) }),
        element('span', { className: 'bar-track' }, bar));
        return element('li', {}, button);
    }));
    if (focused) {
        list.children[item.chosen]?.firstChild.focus();
    }
    $('result').hidden = item.status === 'error';
    $('result').classList.toggle('pending', predictions.length === 0);
    if (predictions.length === 0) {
        const rows = Array.from({ length: 5 }, () => element('li', { className: 'skeleton' }));
        list.replaceChildren(...rows);
        list.setAttribute('aria-hidden', 'true');
    } else {
        list.removeAttribute('aria-hidden');
    }
    $('other').hidden = item.status !== 'done';
    $('details').hidden = item.status !== 'done';
    $('actions').hidden = item.status !== 'done';
    if (item.status === 'done') {
        showTiming(item.result);
        showSuggestions(modelOf(item).classes);
        showCurl(item);
    }
}

export function showCurl(item) {
    $('curl').textContent = curlWordsOf(item).join(' \\\n  ');
}

export function curlWordsOf(item) {
    const { type, name } = item;
    return api.curlWords({
        name, type,
        model: state.model,
        threshold: state.threshold ?? undefined,
        boxes: state.regions,
        map: requestedMap(),
        classId: item.extra[item.chosen - item.result.predictions.length]?.class_id,
        token: state.token,
        base: document.baseURI,
    });
}

function showTiming({ timing_ms: timing = {}, image, model }) {
    const parts = ['decode', 'queue', 'inference', 'total']
        .filter((stage) => Number.isFinite(timing[stage]))
        .map((stage) => element('span', { className: stage },
            `${stage} `, element('b', { text: milliseconds(timing[stage]) })));
    if (image) {
        parts.push(element('span', { text: `${image.width} × ${image.height} px` }));
    }
    if (model && state.models.length > 1) {
        parts.push(element('span', { text: model }));
    }
    $('timing').replaceChildren(...parts);
}

function showBoxes(boxes, prediction) {
    const rows = boxes.slice(0, SHOWN_BOXES).map(({ x0, y0, x1, y1, score, confidence }) =>
        element('li', {},
            element('span', { className: 'box-place', text: `${x0}, ${y0} – ${x1}, ${y1}` }),
            element('span', { className: 'box-size', text: `${x1 - x0 + 1} × ${y1 - y0 + 1}` }),
            element('span', { className: 'box-score',
                text: confidence === undefined ? score.toFixed(2) : percent(confidence) })));
    if (boxes.length > SHOWN_BOXES) {
        rows.push(element('li', { className: 'more',
            text: `and ${boxes.length - SHOWN_BOXES} smaller` }));
    } else if (boxes.length === 0) {
        rows.push(element('li', { className: 'more', text: 'Nothing stands out.' }));
    }
    if (prediction?.present < HARDLY_SEEN) {
        rows.push(element('li', { className: 'more hardly',
            text: `${readable(prediction.label)} is hardly seen here, so its heat is dimmed.` }));
    }
    $('boxes').replaceChildren(...rows);
    $('boxes-hint').textContent = boxes[0]?.confidence === undefined
        ? 'pixels · mean strength inside' : 'pixels · chance that it is right';
    $('boxes-title').textContent = boxes.length > 1 ? `${boxes.length} boxes` : 'Box';
}

function showProblem(item) {
    const problem = item.status === 'error' ? item.problem : null;
    $('problem').hidden = !problem;
    if (problem) {
        $('problem-title').textContent = problem.title || 'Something went wrong';
        $('problem-detail').textContent = problem.detail || problem.message;
        $('problem-id').textContent = problem.requestId ? `Request ${problem.requestId}` : '';
        $('retry').hidden = [401, 413, 415, 422].includes(problem.status) || !item.type;
    }
    const busy = item.status === 'busy' || item.status === 'waiting';
    $('busy').hidden = !busy;
    $('busy-text').textContent = item.note || (item.status === 'busy' ? 'Analysing…' : 'Waiting…');
}

export function showControls(item) {
    const threshold = thresholdOf(item);
    $('controls').disabled = item.status !== 'done';
    $('opacity').value = Math.round(state.opacity * 100);
    $('opacity-out').textContent = `${Math.round(state.opacity * 100)} %`;
    $('threshold').value = threshold;
    $('threshold-out').textContent = threshold.toFixed(2);
    $('threshold-reset').hidden = state.threshold === null;
    for (const range of [$('opacity'), $('threshold')]) {
        const share = (range.value - range.min) / (range.max - range.min);
        range.style.setProperty('--share', share);
    }
}

/* Fills a list of choices, unless it has them, and selects one. */
function showChoices(select, choices, chosen) {
    const values = [...select.options].map((option) => option.value);
    if (values.join() !== choices.map(([value]) => value).join()) {
        select.replaceChildren(...choices.map(([value, text]) => element('option', { value, text })));
    }
    select.value = chosen;
}

function showMap() {
    const model = requestedModel();
    const map = changedMap(model.map, state.map);
    const own = Object.keys(requestedMap()).length === 0;
    const cost = mapCost(model, map, Math.min(CLASSES, model.classes?.length || CLASSES));
    const layers = layerChoices(model.map);

    $('map-flip').checked = map.flip;
    showChoices($('map-scales'), scaleChoices(model.map), map.scales);
    showChoices($('map-layer'), layers, map.layer);
    $('map-layer-field').hidden = layers.length === 0;
    $('map-reset').hidden = own;
    $('map-summary').textContent = describeMap(map);
    $('map-cost').textContent = cost > 1.05
        ? `Takes about ${cost.toFixed(1)} times as long as the image alone.`
        : 'Takes no longer than the image alone.';
}

let paintScheduled = false;
export function schedulePaint() {
    if (!paintScheduled) {
        paintScheduled = true;
        requestAnimationFrame(() => {
            paintScheduled = false;
            paintStage();
        });
    }
}

/* The image at the size of the stage, so that moving a slider does not rescale a
 * photograph of many megapixels at each step. */
function reducedImage(item, width, height) {
    if (item.reduced?.width !== width || item.reduced?.height !== height) {
        item.reduced = element('canvas');
        item.reduced.width = width;
        item.reduced.height = height;
        const context = item.reduced.getContext('2d');
        context.imageSmoothingQuality = 'high';
        context.drawImage(item.bitmap, 0, 0, width, height);
    }
    return item.reduced;
}

function paintStage() {
    const item = state.current;
    const canvas = $('canvas');
    const stage = $('stage');
    if (!item) {
        return;
    }
    stage.classList.toggle('blank', !item.bitmap);
    if (!item.bitmap) {
        return;
    }
    const scene = sceneOf(item);
    const style = getComputedStyle(stage);
    const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const available = stage.clientWidth - padding;
    const tallest = Math.max(window.innerHeight * 0.62, 240);
    const scale = Math.min(available / scene.imageWidth, tallest / scene.imageHeight, 4);
    const unit = window.devicePixelRatio || 1;
    const width = Math.max(Math.round(scene.imageWidth * scale), 1);
    const height = Math.max(Math.round(scene.imageHeight * scale), 1);
    canvas.width = Math.round(width * unit);
    canvas.height = Math.round(height * unit);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const picture = reducedImage(item, canvas.width, canvas.height);
    draw.paint(canvas, { ...scene, picture, unit });
    describe(item, scene.boxes);
    showBoxes(scene.boxes, predictionsOf(item)[item.chosen]);
}

function describe(item, boxes) {
    const prediction = predictionsOf(item)[item.chosen];
    let text = item.name;
    if (prediction) {
        text += `: ${readable(prediction.label)}, ${percent(prediction.score)}`;
        text += prediction.present < HARDLY_SEEN ? '; hardly seen here' : '';
        text += boxes.map((b) => `; box from ${b.x0}, ${b.y0} to ${b.x1}, ${b.y1}`)
            .slice(0, SHOWN_BOXES).join('');
    }
    $('canvas').setAttribute('aria-label', text);
}
