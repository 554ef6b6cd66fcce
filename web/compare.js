/* Two panes of one picture: two models, two classes, two ways to make the map, or one minus the
 * other. What both show is in the state (beside, difference); this changes it. */

import { classText, panes, predictionsOf, answerOf, shownOf } from './answers.js';
import { bind } from './bindings.js';
import { overlap } from './boxes.js';
import { $, buttonOf, element, inputOf, percent, readable, selectOf, showChoices } from './dom.js';
import { changedMap, layerChoices, scaleChoices } from './maps.js';
import { change, ownMapChanges, state, subscribe } from './state.js';
import { currentPicture, modelNamed, store } from './store.js';
import { t } from './text.js';

/** @typedef {import('./state.js').Pane} Pane */
/** @typedef {import('./store.js').Model} Model */

/** The training method of a model: as its file says, or else as its name does. @param {Model} model */
function methodOf({ info, name }) {
    const { config, command = '' } = info.training ?? {};
    const given = config?.method ?? /--method[= ](\S+)/.exec(command)?.[1] ?? name;
    return String(given).toLowerCase();
}

/** The model to compare with: of CAM and ADL the other one, if it is there; otherwise any.
 * @returns {Model | undefined} */
function otherModel() {
    const first = modelNamed(state.model);
    const others = store.models.filter((model) => model !== first);
    const wanted = methodOf(first) === 'adl' ? 'cam' : methodOf(first) === 'cam' ? 'adl' : '';
    return others.find((model) => methodOf(model) === wanted) ?? others[0];
}

/** What the button offers. */
function offer() {
    const other = otherModel();
    const methods = other ? [methodOf(modelNamed(state.model)), methodOf(other)] : [];
    return methods.includes('cam') && methods.includes('adl')
        ? t('compare.methods', { first: methods[0].toUpperCase(), second: methods[1].toUpperCase() })
        : t('compare.start');
}

/** What to put beside the first pane: another model if there is one, otherwise another class.
 * @returns {Pane} */
function partner() {
    const first = modelNamed(state.model);
    const other = otherModel();
    if (other) {
        return { model: other.name, class: null, map: ownMapChanges() };
    }
    const picture = currentPicture();
    const [pane] = panes();
    const shown = picture && shownOf(picture, pane);
    const second = shown && predictionsOf(shown.answer).find((p) => p !== shown.prediction);
    return { model: state.model, class: second ? classText(first, second) : null, map: ownMapChanges() };
}

function toggleCompare() {
    change(state.beside ? { beside: null, difference: false } : { beside: partner() });
}

/** The two models in each other's place. */
function swap() {
    if (state.beside) {
        const [first, second] = panes();
        change({
            model: second.model, class: state.beside.class === null ? state.class : second.class,
            map: second.map,
            beside: { model: first.model, class: state.beside.class === null ? null : first.class,
                map: first.map },
        });
    }
}

/** @param {Partial<Pane>} changes */
function changeBeside(changes) {
    if (state.beside) {
        change({ beside: { ...state.beside, ...changes } });
    }
}

/** @param {Pane} beside @returns {[string, string][]} */
function classChoices(beside) {
    const picture = currentPicture();
    const model = modelNamed(beside.model);
    const all = picture ? panes().flatMap((pane) => predictionsOf(answerOf(picture, pane))) : [];
    const texts = new Map(all.filter(({ label }) => model.classes.includes(label))
        .map((p) => [classText(model, { label: p.label, class_id: model.classes.indexOf(p.label) }),
            readable(p.label)]));
    if (beside.class !== null && !texts.has(beside.class)) {
        texts.set(beside.class, readable(beside.class));
    }
    return [['', t('compare.same')], ...texts];
}

function showControls() {
    const { beside } = state;
    $('compare').setAttribute('aria-pressed', String(beside !== null));
    if (beside === null) {
        $('compare-offer').textContent = offer();
    }
    $('compare-panel').hidden = beside === null;
    if (!beside) {
        return;
    }
    const model = modelNamed(beside.model);
    const map = changedMap(model.map, beside.map);
    showChoices(selectOf('beside-model'), store.models.map(({ name }) => [name, name]), model.name);
    showChoices(selectOf('beside-class'), classChoices(beside), beside.class ?? '');
    showChoices(selectOf('beside-scales'), scaleChoices(model.map), map.scales);
    const layers = layerChoices(model.map);
    showChoices(selectOf('beside-layer'), layers, map.layer);
    $('beside-layer-field').hidden = layers.length === 0;
    inputOf('beside-flip').checked = map.flip;
    inputOf('difference').checked = state.difference;
}

/** What went wrong in a pane: with all of the answer, or with its class alone.
 * @param {import('./answers.js').Shown} shown */
function problemOf({ answer, pane }) {
    const extra = pane.class === null ? null : answer?.extra.get(pane.class);
    return [answer, extra].find((entry) => entry?.status === 'error')?.problem;
}

/** What each pane found, and how far both agree. */
function showFindings() {
    const picture = currentPicture();
    if (!state.beside || !picture) {
        return;
    }
    const found = panes().map((pane) => shownOf(picture, pane));
    $('compare-found').replaceChildren(...found.map((shown, index) => {
        const { model, prediction } = shown;
        return element('li', {},
            element('span', { className: `swatch swatch-${index}`, 'aria-hidden': 'true' }),
            element('span', { className: 'compare-model', text: model.name }),
            element('span', {
                text: prediction ? readable(prediction.label)
                    : problemOf(shown)?.title ?? t('busy.analysing'),
            }),
            element('b', { text: prediction ? percent(prediction.score) : '' }));
    }));
    const [a, b] = found.map(({ boxes }) => boxes[0]);
    $('compare-overlap').textContent = a && b ? t('compare.overlap', { iou: overlap(a, b).toFixed(2) }) : '';
}

/** @param {Event} event */
const valueOf = (event) => /** @type {HTMLSelectElement} */ (event.target).value;

/** @param {Partial<import('./state.js').MapChanges>} changes */
function changeMap(changes) {
    if (state.beside) {
        changeBeside({ map: { ...state.beside.map, ...changes } });
    }
}

export function startCompare() {
    bind({ keys: ['c'], text: 'key.compare', act: () => currentPicture() !== null && toggleCompare() });
    bind({ keys: ['d'], text: 'key.difference',
        act: () => state.beside !== null && change({ difference: !state.difference }) });
    buttonOf('compare').addEventListener('click', toggleCompare);
    buttonOf('compare-close').addEventListener('click', () => {
        toggleCompare();
        $('compare').focus();
    });
    buttonOf('compare-swap').addEventListener('click', swap);
    selectOf('beside-model').addEventListener('change', (event) =>
        changeBeside({ model: valueOf(event), map: ownMapChanges() }));
    selectOf('beside-class').addEventListener('change', (event) =>
        changeBeside({ class: valueOf(event) || null }));
    selectOf('beside-scales').addEventListener('change', (event) =>
        changeMap({ scales: valueOf(event) }));
    selectOf('beside-layer').addEventListener('change', (event) =>
        changeMap({ layer: valueOf(event) }));
    inputOf('beside-flip').addEventListener('change', ({ target }) =>
        changeMap({ flip: /** @type {HTMLInputElement} */ (target).checked }));
    inputOf('difference').addEventListener('change', ({ target }) =>
        change({ difference: /** @type {HTMLInputElement} */ (target).checked }));
    subscribe(['beside', 'difference', 'models', 'model', 'answers', 'picture', 'language'], showControls);
    subscribe(['beside', 'models', 'model', 'map', 'class', 'threshold', 'boxes', 'answers',
        'picture', 'language'], showFindings);
    showControls();
    showFindings();
}
