/* The page: what is shown, what was asked, and what a person does with it.
 * Talking to the server is in api.js, maps, boxes and painting in draw.js. */

import * as api from './api.js';
import * as draw from './draw.js';

const $ = (id) => document.getElementById(id);

const ATTEMPTS = 6;            /* of one picture, while the server says "later" */
const LONGEST_WAIT_S = 20;     /* between two of them, whatever Retry-After says */
const SHOWN_BOXES = 6;
const SAVED_SIDE_PX = 4096;    /* a larger picture is saved reduced to this */
const LARGE_BODY_BYTES = 16 * 1024 * 1024;

const state = {
    items: [],      /* pictures, in order of arrival; see addFiles() */
    current: null,
    models: [],
    model: '',      /* '' is the server's default */
    token: '',
    opacity: 0.65,
    threshold: null, /* null: the model's own */
    all: false,
    outline: true,
};

/* --- small helpers ------------------------------------------------------- */

function element(tag, { className = '', text = '', ...attributes } = {}, ...children) {
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

const percent = (v) => `${(v * 100).toFixed(v < 0.0995 ? 1 : 0)} %`;
const readable = (label) => label.replaceAll('_', ' ');

function milliseconds(v) {
    return v < 10 ? `${v.toFixed(1)} ms` : v < 1000 ? `${Math.round(v)} ms`
        : `${(v / 1000).toFixed(2)} s`;
}

function announce(text) {
    $('live').textContent = text;
}

const pause = (ms, signal) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
    }, { once: true });
});

/* --- pictures ------------------------------------------------------------ */

function addFiles(files) {
    const added = [...files].map((file) => ({
        file,
        name: file.name || 'pasted picture',
        type: '',
        url: URL.createObjectURL(file),
        status: 'waiting', /* waiting, busy, done, error */
        note: '',
        problem: null,
        result: null,
        asked: [],  /* predictions of classes a person asked for */
        chosen: 0,  /* of predictionsOf() */
        maps: [], /* of each prediction, made when first shown */
        abort: new AbortController(),
        bitmap: null,  /* of the current picture only, as is `reduced` */
        reduced: null, /* a canvas of the stage's size */
    }));
    if (added.length === 0) {
        return;
    }
    state.items.push(...added);
    select(added[0]);
    work();
}

function removeItem(item) {
    const at = state.items.indexOf(item);
    item.abort.abort();
    URL.revokeObjectURL(item.url);
    item.bitmap?.close();
    state.items.splice(at, 1);
    if (state.current === item) {
        select(state.items[Math.min(at, state.items.length - 1)] || null);
        ($('strip').querySelector('[aria-current] .thumb') || $('empty').querySelector('button'))
            .focus();
    } else {
        showStrip();
    }
}

/* Asks again: after another model was chosen, a token given, an error. */
function renew(items) {
    for (const item of items) {
        item.abort.abort();
        Object.assign(item, {
            status: 'waiting', note: '', problem: null, result: null, asked: [],
            chosen: 0, maps: [], abort: new AbortController(),
        });
    }
    show();
    work();
}

/* One picture at a time, so that the first answer comes soonest. */
let working = false;
async function work() {
    if (working) {
        return;
    }
    working = true;
    for (;;) {
        const waiting = (item) => item?.status === 'waiting';
        const item = waiting(state.current) ? state.current : state.items.find(waiting);
        if (!item) {
            break;
        }
        const { signal } = item.abort;
        item.status = 'busy';
        show();
        try {
            const result = await ask(item, signal);
            if (!signal.aborted) {
                Object.assign(item, { status: 'done', note: '', result });
            }
        } catch (error) {
            if (!signal.aborted) {
                Object.assign(item, { status: 'error', note: '', problem: error });
                if (error.status === 401) {
                    askToken();
                }
            }
        }
        if (item === state.current) {
            announceResult(item);
        }
        show();
    }
    working = false;
}

async function ask(item, signal) {
    item.type = await api.imageType(item.file);
    if (!item.type) {
        throw new api.Problem({
            title: 'Not a picture it can read',
            detail: `“${item.name}” is no JPEG, PNG or WebP file.`,
        });
    }
    for (let attempt = 1;; attempt++) {
        try {
            return await api.localize(item.file, item.type,
                { model: state.model, token: state.token, signal });
        } catch (problem) {
            const later = problem.status === 503 || problem.status === 429;
            if (signal.aborted || !later || attempt === ATTEMPTS) {
                if (problem.status === 0 && item.file.size > LARGE_BODY_BYTES) {
                    problem.detail += ` This picture has ${Math.round(item.file.size / 1048576)}` +
                        ' MiB, perhaps more than it accepts.';
                }
                throw problem;
            }
            const wait = Math.min(Math.max(problem.retryAfter, 1), LONGEST_WAIT_S);
            item.note = $('health').dataset.state === 'loading' ? 'Waiting for the model…'
                : `The server is busy. Trying again in ${wait} s…`;
            show();
            await pause(wait * 1000, signal);
            item.note = '';
            show();
            signal.throwIfAborted();
        }
    }
}

function announceResult(item) {
    if (item.status === 'done') {
        const first = item.result.predictions[0];
        announce(first ? `${readable(first.label)}, ${percent(first.score)}` : 'Nothing found');
    } else if (item.status === 'error') {
        announce(item.problem.message);
    }
}

/* --- maps and boxes ------------------------------------------------------ */

function modelOf(item) {
    return state.models.find((model) => model.name === item.result?.model) ||
        state.models[0] || { width: 224, height: 224, threshold: 0.35 };
}

function thresholdOf(item) {
    return state.threshold ?? modelOf(item).threshold;
}

/* The server's best, then those that were asked for. */
function predictionsOf(item) {
    return item.result ? [...item.result.predictions, ...item.asked] : [];
}

/* The chosen prediction's map at the model's input size: {map, width, height,
 * heat}, or null when the answer carries none. */
function mapOf(item) {
    const heatmap = predictionsOf(item)[item.chosen]?.heatmap;
    if (!heatmap) {
        return null;
    }
    if (!item.maps[item.chosen]) {
        const { width, height } = modelOf(item);
        const map = draw.scoreMap(heatmap.data.flat(), heatmap.width, heatmap.height,
            width, height);
        item.maps[item.chosen] = { map, width, height, heat: draw.colourMap(map, width, height) };
    }
    return item.maps[item.chosen];
}

/* What may be asked for, as suggestions while typing. */
let suggested = null;
function showSuggestions(classes = []) {
    if (classes !== suggested) {
        suggested = classes;
        $('class-names').replaceChildren(...classes.map((label) =>
            element('option', { value: readable(label) })));
    }
}

/* Everything draw.paint() needs but the canvas. */
function sceneOf(item) {
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
    scene.boxes = draw.boxesFromMap(map, width, height, threshold, state.all)
        .map((box) => draw.scaleBox(box, width, height, imageWidth, imageHeight));
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

async function select(item) {
    if (state.current && state.current !== item) {
        state.current.bitmap?.close();
        state.current.bitmap = null;
        state.current.reduced = null;
    }
    state.current = item;
    $('other-note').textContent = '';
    show();
    if (item && !item.bitmap) {
        try {
            const bitmap = await createImageBitmap(item.file, { imageOrientation: 'from-image' });
            if (state.current === item && !item.bitmap) {
                item.bitmap = bitmap;
            } else {
                bitmap.close();
            }
        } catch {
            /* The server says what is wrong with it. */
        }
        show();
    }
}

function show() {
    const item = state.current;
    $('empty').hidden = item !== null;
    $('work').hidden = item === null;
    document.title = item ? `${item.name} – adl-server` : 'adl-server';
    showStrip();
    if (item) {
        showClasses(item);
        showProblem(item);
        showControls(item);
        schedulePaint();
    }
}

function showStrip() {
    const strip = $('strip');
    const rows = new Map([...strip.children].map((row) => [row.item, row]));
    for (const item of state.items) {
        const row = rows.get(item) || makeThumb(item);
        rows.delete(item);
        row.dataset.status = item.status;
        const thumb = row.firstChild;
        const told = { waiting: 'waiting', busy: 'being looked at', error: 'failed' }[item.status];
        thumb.setAttribute('aria-label', told ? `${item.name}, ${told}` : item.name);
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
    thumb.addEventListener('click', () => select(item));
    const remove = element('button', {
        className: 'thumb-remove', type: 'button', 'aria-label': `Remove ${item.name}`,
    }, icon('close'));
    remove.addEventListener('click', () => removeItem(item));
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
        button.addEventListener('click', () => choose(index));
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

function showCurl(item) {
    $('curl').textContent = curlWordsOf(item).join(' \\\n  ');
}

function showTiming({ timing_ms: timing = {}, image, model }) {
    const parts = ['decode', 'queue', 'inference', 'total']
        .filter((stage) => Number.isFinite(timing[stage]))
        .map((stage) => element('span', { className: stage },
            `${stage} `, element('b', { text: milliseconds(timing[stage]) })));
    const picture = image ? [element('span', { text: `${image.width} × ${image.height} px` })] : [];
    const name = model && state.models.length > 1 ? [element('span', { text: model })] : [];
    $('timing').replaceChildren(...parts, ...picture, ...name);
}

function showBoxes(boxes) {
    const rows = boxes.slice(0, SHOWN_BOXES).map(({ x0, y0, x1, y1, score }) => element('li', {},
        element('span', { className: 'box-place', text: `${x0}, ${y0} – ${x1}, ${y1}` }),
        element('span', { className: 'box-size', text: `${x1 - x0 + 1} × ${y1 - y0 + 1}` }),
        element('span', { className: 'box-score', text: score.toFixed(2) })));
    if (boxes.length > SHOWN_BOXES) {
        rows.push(element('li', { className: 'more',
            text: `and ${boxes.length - SHOWN_BOXES} weaker` }));
    } else if (boxes.length === 0) {
        rows.push(element('li', { className: 'more', text: 'Nothing stands out here.' }));
    }
    $('boxes').replaceChildren(...rows);
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
    $('busy-text').textContent = item.note || (item.status === 'busy' ? 'Looking…' : 'Waiting…');
}

function showControls(item) {
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

let paintAsked = false;
function schedulePaint() {
    if (!paintAsked) {
        paintAsked = true;
        requestAnimationFrame(() => {
            paintAsked = false;
            paintStage();
        });
    }
}

/* The picture at the stage's size, so that a slider does not scale a photograph
 * of many megapixels anew at each step. */
function reducedPicture(item, width, height) {
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
    const room = stage.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const tallest = Math.max(window.innerHeight * 0.62, 240);
    const scale = Math.min(room / scene.imageWidth, tallest / scene.imageHeight, 4);
    const unit = window.devicePixelRatio || 1;
    const width = Math.max(Math.round(scene.imageWidth * scale), 1);
    const height = Math.max(Math.round(scene.imageHeight * scale), 1);
    canvas.width = Math.round(width * unit);
    canvas.height = Math.round(height * unit);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const picture = reducedPicture(item, canvas.width, canvas.height);
    draw.paint(canvas, { ...scene, picture, unit });
    describe(item, scene.boxes);
    showBoxes(scene.boxes);
}

function describe(item, boxes) {
    const prediction = predictionsOf(item)[item.chosen];
    let text = item.name;
    if (prediction) {
        text += `: ${readable(prediction.label)}, ${percent(prediction.score)}`;
        text += boxes.map((b) => `; box from ${b.x0}, ${b.y0} to ${b.x1}, ${b.y1}`)
            .slice(0, SHOWN_BOXES).join('');
    }
    $('canvas').setAttribute('aria-label', text);
}

function choose(index) {
    const item = state.current;
    const prediction = item && predictionsOf(item)[index];
    if (prediction) {
        item.chosen = index;
        show();
        announce(`${readable(prediction.label)}, ${percent(prediction.score)}`);
    }
}

/* Where is this class, whatever the network would say first? */
async function lookFor(event) {
    event.preventDefault();
    const item = state.current;
    const field = $('other-class');
    const wanted = field.value.trim();
    const plain = readable(wanted).toLowerCase();
    const known = modelOf(item).classes || [];
    const id = known.findIndex((label) => readable(label).toLowerCase() === plain);
    const there = predictionsOf(item).findIndex((p) =>
        p.class_id === id || readable(p.label).toLowerCase() === plain);
    $('other-note').textContent = '';
    if (there >= 0) {
        field.value = '';
        choose(there);
        return;
    }
    const { result } = item;
    try {
        const answer = await api.localize(item.file, item.type, {
            model: state.model, classId: id >= 0 ? id : wanted, token: state.token,
            signal: item.abort.signal,
        });
        if (item.result === result) {
            item.asked.push(answer.predictions[0]);
            field.value = '';
            if (item === state.current) {
                choose(predictionsOf(item).length - 1);
            }
        }
    } catch (problem) {
        if (problem.name !== 'AbortError') {
            $('other-note').textContent = problem.detail || problem.message;
        }
    }
}

/* --- taking it along ----------------------------------------------------- */

function curlWordsOf(item) {
    const { type, name } = item;
    return api.curlWords({
        name, type,
        model: state.model,
        threshold: state.threshold ?? undefined,
        classId: item.asked[item.chosen - item.result.predictions.length]?.class_id,
        token: state.token,
        base: document.baseURI,
    });
}

/* The answer, with the predictions that were asked for afterwards. */
function jsonOf(item) {
    return { ...item.result, predictions: predictionsOf(item) };
}

async function confirmOn(button, action) {
    const label = button.querySelector('span');
    const before = button.dataset.label || label.textContent;
    button.dataset.label = before;
    let text = 'Done';
    try {
        text = await action();
    } catch {
        text = 'Did not work';
    }
    label.textContent = text;
    button.classList.add('confirmed');
    announce(text);
    setTimeout(() => {
        label.textContent = before;
        button.classList.remove('confirmed');
    }, 1600);
}

/* The clipboard interface is missing on plain http beyond localhost. */
async function copyText(text) {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return 'Copied';
    }
    const area = element('textarea', { className: 'visually-hidden' });
    const focused = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    focused?.focus();
    if (!copied) {
        throw new Error('not copied');
    }
    return 'Copied';
}

/* The picture at its own size with what is shown now, as a PNG. */
async function saveOverlay(item) {
    const scene = sceneOf(item);
    const longer = Math.max(scene.imageWidth, scene.imageHeight);
    const scale = Math.min(SAVED_SIDE_PX / longer, 1);
    const canvas = element('canvas');
    canvas.width = Math.max(Math.round(scene.imageWidth * scale), 1);
    canvas.height = Math.max(Math.round(scene.imageHeight * scale), 1);
    draw.paint(canvas, { ...scene, unit: Math.max(longer * scale / 700, 0.6) });
    const blob = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/png'); });
    const link = element('a', { download: `${item.name.replace(/\.[^.]*$/, '')}-overlay.png` });
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    return 'Saved';
}

/* --- the server: health, models, token ----------------------------------- */

const HEALTH = {
    ready: ['ready', 20000],
    loading: ['loading model…', 1500],
    away: ['no connection', 3000],
};

async function watchHealth() {
    const told = await api.health();
    const [text, again] = HEALTH[told];
    const before = $('health').dataset.state;
    if (told !== before) {
        $('health').dataset.state = told;
        $('health-text').textContent = text;
        if (told === 'ready') {
            loadModels();
        }
    }
    setTimeout(watchHealth, again);
}

async function loadModels() {
    try {
        state.models = await api.models(state.token);
    } catch (problem) {
        if (problem.status === 401) {
            askToken();
        }
        return;
    }
    const select = $('model');
    select.replaceChildren(...state.models.map((model) => element('option',
        { value: model.name, text: model.name })));
    $('model-field').hidden = state.models.length < 2;
    if (!state.models.some((model) => model.name === state.model)) {
        state.model = '';
    }
    select.value = state.model || state.models[0]?.name || '';
    /* Maps made before the input size was known are made again. */
    for (const item of state.items) {
        item.maps = [];
    }
    show();
}

function askToken() {
    const shown = !$('token-form').hidden;
    $('token-form').hidden = false;
    $('token-wrong').hidden = !state.token;
    if (!shown || state.token) {
        $('token').value = '';
        $('token').focus();
    }
}

function useToken(event) {
    event.preventDefault();
    state.token = $('token').value.trim();
    $('token').value = '';
    $('token-form').hidden = true;
    loadModels();
    renew(state.items.filter((item) => item.problem?.status === 401));
}

/* --- what a person does -------------------------------------------------- */

function onKey(event) {
    const typing = event.target.matches?.('input:not([type=radio], [type=checkbox]), select, textarea');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !state.current) {
        return;
    }
    const at = state.items.indexOf(state.current);
    if (event.key >= '1' && event.key <= '9') {
        choose(Number(event.key) - 1);
    } else if (event.target.type !== 'radio' &&
               (event.key === 'ArrowLeft' || event.key === 'ArrowRight')) {
        const next = state.items[at + (event.key === 'ArrowRight' ? 1 : -1)];
        if (next) {
            event.preventDefault();
            select(next);
            announceResult(next);
        }
    }
}

function listen() {
    for (const button of document.querySelectorAll('[data-pick]')) {
        button.addEventListener('click', () => $(button.dataset.pick).click());
    }
    for (const input of [$('files'), $('camera')]) {
        input.addEventListener('change', () => {
            addFiles(input.files);
            input.value = '';
        });
    }

    let depth = 0; /* of nested elements the drag has entered */
    const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
    const hint = (shown) => { $('drop-hint').hidden = !shown; };
    window.addEventListener('dragenter', (event) => {
        if (carriesFiles(event)) {
            depth++;
            hint(true);
        }
    });
    window.addEventListener('dragleave', (event) => {
        if (carriesFiles(event) && --depth <= 0) {
            depth = 0;
            hint(false);
        }
    });
    window.addEventListener('dragover', (event) => {
        if (carriesFiles(event)) {
            event.preventDefault();
        }
    });
    window.addEventListener('drop', (event) => {
        if (carriesFiles(event)) {
            event.preventDefault();
            depth = 0;
            hint(false);
            addFiles(event.dataTransfer.files);
        }
    });
    window.addEventListener('paste', (event) => {
        if (event.clipboardData?.files.length > 0) {
            event.preventDefault();
            addFiles(event.clipboardData.files);
        }
    });
    window.addEventListener('keydown', onKey);

    const redraw = () => {
        showControls(state.current);
        showCurl(state.current);
        schedulePaint();
    };
    $('opacity').addEventListener('input', (event) => {
        state.opacity = Number(event.target.value) / 100;
        redraw();
    });
    $('threshold').addEventListener('input', (event) => {
        state.threshold = Number(event.target.value);
        redraw();
    });
    $('threshold-reset').addEventListener('click', () => {
        state.threshold = null;
        redraw();
        $('threshold').focus();
    });
    for (const radio of document.querySelectorAll('[name=regions]')) {
        radio.addEventListener('change', () => {
            state.all = radio.value === 'all' && radio.checked;
            redraw();
        });
    }
    $('outline').addEventListener('change', (event) => {
        state.outline = event.target.checked;
        redraw();
    });

    $('model').addEventListener('change', (event) => {
        state.model = event.target.value;
        renew(state.items);
    });
    $('token-form').addEventListener('submit', useToken);
    $('other').addEventListener('submit', lookFor);
    $('retry').addEventListener('click', () => renew([state.current]));
    $('download').addEventListener('click', (event) =>
        confirmOn(event.currentTarget, () => saveOverlay(state.current)));
    $('copy-json').addEventListener('click', (event) =>
        confirmOn(event.currentTarget, () => copyText(JSON.stringify(jsonOf(state.current), null, 2))));
    $('copy-curl').addEventListener('click', (event) =>
        confirmOn(event.currentTarget, () => copyText(curlWordsOf(state.current).join(' '))));
    new ResizeObserver(schedulePaint).observe($('stage'));
}

listen();
draw.paintLegend($('legend'));
watchHealth();
