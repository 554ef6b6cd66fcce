/* The controls below the stage: threshold, heat, boxes, and how the map is made. They show the state
 * and change it. */

import { panes, predictionOf, shownOf, thresholdOf } from './answers.js';
import { colourNames } from './colours.js';
import { $, buttonOf, canvasOf, fraction, inputOf, selectOf, showChoices } from './dom.js';
import { changedMap, describeMap, layerChoices, mapCost, mapQuery, scaleChoices } from './maps.js';
import { levelOf, paintLegend } from './paint.js';
import { change, ownMapChanges, state, subscribe } from './state.js';
import { currentPicture, modelNamed } from './store.js';
import { t } from './text.js';

/* Classes that a request asks for (api.js). */
const CLASSES = 5;

/** The threshold as shown: the state's, or that of the class or model. */
export function shownThreshold() {
    const picture = currentPicture();
    const [pane] = panes();
    return thresholdOf(pane, picture && predictionOf(picture, pane));
}

/** Moves the threshold by a step. @param {number} step */
export function stepThreshold(step) {
    const range = inputOf('threshold');
    const value = Math.round((shownThreshold() + step) * 1000) / 1000;
    change({ threshold: Math.min(Math.max(value, Number(range.min)), Number(range.max)) });
}

/** @param {HTMLInputElement} range @param {number} value */
function showRange(range, value) {
    range.value = String(value);
    const least = Number(range.min);
    range.style.setProperty('--share', String((value - least) / (Number(range.max) - least)));
}

let legend = '';

function showControls() {
    const picture = currentPicture();
    const threshold = shownThreshold();
    showRange(inputOf('opacity'), Math.round(state.opacity * 100));
    $('opacity-out').textContent = t('number.percent', { value: Math.round(state.opacity * 100) });
    showRange(inputOf('threshold'), threshold);
    $('threshold-out').textContent = fraction(threshold);
    $('threshold-reset').hidden = state.threshold === null;
    showChoices(selectOf('colours'), colourNames.map((name) => [name, t(`colours.${name}`)]),
        colourNames.includes(state.colours) ? state.colours : 'inferno');
    for (const radio of document.querySelectorAll('[name=regions]')) {
        const input = /** @type {HTMLInputElement} */ (radio);
        input.checked = input.value === state.boxes;
    }
    inputOf('outline').checked = state.outline;

    const map = picture && shownOf(picture, panes()[0]).map;
    const level = map ? levelOf(map, threshold) : threshold;
    const wanted = `${state.colours} ${level.toFixed(3)}`;
    if (wanted !== legend) {
        legend = wanted;
        paintLegend(canvasOf('legend'), state.colours, level);
    }
}

function showMap() {
    const model = modelNamed(state.model);
    const map = changedMap(model.map, state.map);
    const cost = mapCost(model, map, Math.min(CLASSES, model.classes.length || CLASSES));
    const layers = layerChoices(model.map);
    inputOf('map-flip').checked = map.flip;
    showChoices(selectOf('map-scales'), scaleChoices(model.map), map.scales);
    showChoices(selectOf('map-layer'), layers, map.layer);
    $('map-layer-field').hidden = layers.length === 0;
    $('map-reset').hidden = Object.keys(mapQuery(model.map, state.map)).length === 0;
    $('map-summary').textContent = describeMap(map);
    $('map-cost').textContent = cost > 1.05 ? t('map.cost', { times: cost.toFixed(1) })
        : t('map.cost.none');
}

/** @param {Partial<import('./state.js').MapChanges>} changes */
const changeMap = (changes) => change({ map: { ...state.map, ...changes } });

export function startControls() {
    inputOf('opacity').addEventListener('input', ({ target }) =>
        change({ opacity: Number(/** @type {HTMLInputElement} */ (target).value) / 100 }));
    inputOf('threshold').addEventListener('input', ({ target }) =>
        change({ threshold: Number(/** @type {HTMLInputElement} */ (target).value) }));
    buttonOf('threshold-reset').addEventListener('click', () => {
        change({ threshold: null });
        $('threshold').focus();
    });
    selectOf('colours').addEventListener('change', ({ target }) =>
        change({ colours: /** @type {HTMLSelectElement} */ (target).value }));
    for (const radio of document.querySelectorAll('[name=regions]')) {
        radio.addEventListener('change', () => {
            const { checked, value } = /** @type {HTMLInputElement} */ (radio);
            if (checked) {
                change({ boxes: /** @type {any} */ (value) });
            }
        });
    }
    inputOf('outline').addEventListener('change', ({ target }) =>
        change({ outline: /** @type {HTMLInputElement} */ (target).checked }));
    inputOf('map-flip').addEventListener('change', ({ target }) =>
        changeMap({ flip: /** @type {HTMLInputElement} */ (target).checked }));
    selectOf('map-scales').addEventListener('change', ({ target }) =>
        changeMap({ scales: /** @type {HTMLSelectElement} */ (target).value }));
    selectOf('map-layer').addEventListener('change', ({ target }) =>
        changeMap({ layer: /** @type {HTMLSelectElement} */ (target).value }));
    buttonOf('map-reset').addEventListener('click', () => {
        change({ map: ownMapChanges() });
        $('map-flip').focus();
    });
    subscribe(['picture', 'model', 'models', 'class', 'threshold', 'boxes', 'outline', 'opacity',
        'colours', 'answers', 'language'], showControls);
    subscribe(['model', 'models', 'map', 'language'], showMap);
    showControls();
    showMap();
}
