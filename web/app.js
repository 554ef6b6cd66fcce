/* The actions of the page: adding images, requesting their results, choosing classes,
 * saving, retrying. What is shown is in view.js, the requests in api.js, the arithmetic of
 * maps and boxes in draw.js.
 *
 * Images are sent one after the other, the current one first, so that the first result
 * comes soonest; the server's queue is left to other users. */

import * as api from './api.js';
import * as draw from './draw.js';
import {
    state, $, element, percent, readable, announce, modelOf, predictionsOf, requestedMap, sceneOf, show,
    showStrip, showControls, showCurl, schedulePaint, curlWordsOf,
} from './view.js';

const PATIENCE_S = 90;         /* for one image, while the server answers "try later" */
const LONGEST_WAIT_S = 20;     /* between two attempts, whatever Retry-After says */
const SAVED_SIDE_PX = 4096;    /* a larger image is saved reduced to this side length */
const LARGE_BODY_BYTES = 16 * 1024 * 1024;

const pause = (ms, signal) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
    }, { once: true });
});

/* --- images -------------------------------------------------------------- */

function addFiles(files) {
    const added = [...files].map((file) => ({
        file,
        name: file.name || 'pasted image',
        type: '',
        url: URL.createObjectURL(file),
        status: 'waiting', /* waiting, busy, done, error */
        note: '',
        problem: null,
        result: null,
        extra: [],  /* predictions of classes that the user looked for */
        chosen: 0,  /* index into predictionsOf() */
        maps: [],   /* of each prediction, made when first shown */
        abort: new AbortController(),
        bitmap: null,  /* of the current image only, like `reduced` */
        reduced: null, /* a canvas of the stage's size */
    }));
    if (added.length === 0) {
        return;
    }
    state.items.push(...added);
    select(added[0]);
    work();
}

/* Shows those of the example drawings whose class a model has. */
function offerExamples() {
    const buttons = [...document.querySelectorAll('[data-example]')];
    for (const button of buttons) {
        button.parentNode.hidden = !state.models.some((model) =>
            model.classes?.includes(button.dataset.example));
    }
    $('examples').hidden = buttons.every((button) => button.parentNode.hidden);
}

async function addExample(name) {
    const path = `${name}.jpg`;
    try {
        const bytes = await api.fetchExample(`examples/${path}`);
        addFiles([new File([bytes], path, { type: 'image/jpeg' })]);
    } catch (problem) {
        announce(problem.message);
    }
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

/* Requests the results again: after a change of the model, a new token or an error. */
function renew(items) {
    for (const item of items) {
        item.abort.abort();
        Object.assign(item, {
            status: 'waiting', note: '', problem: null, result: null, extra: [],
            chosen: 0, maps: [], abort: new AbortController(),
        });
    }
    show();
    work();
}

/* Sends the waiting images, one at a time. */
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
            const result = await requestResult(item, signal);
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

async function requestResult(item, signal) {
    item.type = await api.imageType(item.file);
    if (!item.type) {
        throw new api.Problem({
            title: 'Not a supported image',
            detail: `“${item.name}” is not a JPEG, PNG or WebP file.`,
        });
    }
    const start = performance.now();
    for (;;) {
        try {
            return await api.localize(item.file, item.type,
                { model: state.model, map: requestedMap(), token: state.token, signal });
        } catch (problem) {
            const later = problem.status === 503 || problem.status === 429;
            const waited = (performance.now() - start) / 1000;
            if (signal.aborted || !later || waited > PATIENCE_S) {
                if (problem.status === 0 && item.file.size > LARGE_BODY_BYTES) {
                    problem.detail += ` This image has ${Math.round(item.file.size / 1048576)}` +
                        ' MiB, which may be more than the server accepts.';
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

/* --- choosing ------------------------------------------------------------ */

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
            /* The server reports what is wrong with the file. */
        }
        show();
    }
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

/* Requests the map of a class that the user typed, whatever the network ranks first. */
async function lookFor(event) {
    event.preventDefault();
    const item = state.current;
    const field = $('other-class');
    const wanted = field.value.trim();
    const plain = readable(wanted).toLowerCase();
    const known = modelOf(item).classes || [];
    const id = known.findIndex((label) => readable(label).toLowerCase() === plain);
    const listed = predictionsOf(item).findIndex((p) =>
        p.class_id === id || readable(p.label).toLowerCase() === plain);
    $('other-note').textContent = '';
    if (listed >= 0) {
        field.value = '';
        choose(listed);
        return;
    }
    const { result } = item;
    try {
        const answer = await api.localize(item.file, item.type, {
            model: state.model, classId: id >= 0 ? id : wanted, map: requestedMap(),
            token: state.token, signal: item.abort.signal,
        });
        if (item.result === result) {
            item.extra.push(answer.predictions[0]);
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

/* Makes the maps of all images in another way; without changes as the model has it. */
function changeMap(changes) {
    state.map = changes ? { ...state.map, ...changes } : { flip: null, scales: null, layer: null };
    renew(state.items);
}

/* --- saving and copying -------------------------------------------------- */

/* The answer, with the predictions that were requested afterwards. */
function jsonOf(item) {
    return JSON.stringify({ ...item.result, predictions: predictionsOf(item) }, null, 2);
}

async function confirmOn(button, action) {
    const label = button.querySelector('span');
    const before = button.dataset.label || label.textContent;
    button.dataset.label = before;
    let text = 'Done';
    try {
        text = await action();
    } catch {
        text = 'Failed';
    }
    label.textContent = text;
    button.classList.add('confirmed');
    announce(text);
    setTimeout(() => {
        label.textContent = before;
        button.classList.remove('confirmed');
    }, 1600);
}

/* Browsers offer the clipboard interface only over https and on localhost. */
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

/* Saves the image at its own size, with the overlay that is shown now, as a PNG. */
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
    const health = await api.health();
    const [text, delay] = HEALTH[health];
    const before = $('health').dataset.state;
    if (health !== before) {
        $('health').dataset.state = health;
        $('health-text').textContent = text;
        if (health === 'ready') {
            loadModels();
        }
    }
    setTimeout(watchHealth, delay);
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
    offerExamples();
    /* Maps were made at the wrong size if the model was not known yet; they are discarded. */
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

/* --- events -------------------------------------------------------------- */

function onKey(event) {
    const typing = event.target.matches?.(
        'input:not([type=radio], [type=checkbox]), select, textarea');
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
    for (const button of document.querySelectorAll('[data-example]')) {
        button.addEventListener('click', () => addExample(button.dataset.example));
    }
    for (const input of [$('files'), $('camera')]) {
        input.addEventListener('change', () => {
            addFiles(input.files);
            input.value = '';
        });
    }

    $('strip').addEventListener('click', (event) => {
        const item = event.target.closest('li')?.item;
        if (item && event.target.closest('.thumb-remove')) {
            removeItem(item);
        } else if (item) {
            select(item);
        }
    });
    $('classes').addEventListener('click', (event) => {
        const row = event.target.closest('.class')?.parentNode;
        if (row) {
            choose([...row.parentNode.children].indexOf(row));
        }
    });

    let depth = 0; /* number of nested elements that the drag has entered */
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
            if (radio.checked) {
                state.regions = radio.value;
            }
            redraw();
        });
    }
    $('outline').addEventListener('change', (event) => {
        state.outline = event.target.checked;
        redraw();
    });

    $('map-flip').addEventListener('change', (event) => changeMap({ flip: event.target.checked }));
    $('map-scales').addEventListener('change', (event) => changeMap({ scales: event.target.value }));
    $('map-layer').addEventListener('change', (event) => changeMap({ layer: event.target.value }));
    $('map-reset').addEventListener('click', () => {
        changeMap(null);
        $('map-flip').focus();
    });

    $('model').addEventListener('change', (event) => {
        state.model = event.target.value;
        changeMap(null); /* another model has another rule */
    });
    $('token-form').addEventListener('submit', useToken);
    $('other').addEventListener('submit', lookFor);
    $('retry').addEventListener('click', () => renew([state.current]));
    $('download').addEventListener('click', (event) =>
        confirmOn(event.currentTarget, () => saveOverlay(state.current)));
    $('copy-json').addEventListener('click', (event) =>
        confirmOn(event.currentTarget, () => copyText(jsonOf(state.current))));
    $('copy-curl').addEventListener('click', (event) =>
        confirmOn(event.currentTarget, () => copyText(curlWordsOf(state.current).join(' '))));
    new ResizeObserver(schedulePaint).observe($('stage'));
}

listen();
draw.paintLegend($('legend'));
watchHealth();
