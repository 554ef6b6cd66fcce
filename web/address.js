/* The state in the address bar, so that a view can be shared and survives a reload. What is as the
 * page begins is left out. tests/browser/state.test.mjs checks that each state survives the way
 * there and back, and that no address breaks the page. */

import { initialState, ownMapChanges } from './state.js';

/**
 * @typedef {import('./state.js').State} State
 * @typedef {import('./state.js').MapChanges} MapChanges
 */

/** @param {number} v @param {number} digits */
const short = (v, digits) => String(Number(v.toFixed(digits)));

/** @param {URLSearchParams} query @param {MapChanges} map @param {string} before */
function writeMap(query, map, before) {
    for (const [name, value] of Object.entries(map)) {
        if (value !== null) {
            query.set(`${before}map_${name}`, String(value));
        }
    }
}

/** @param {URLSearchParams} query @param {string} before @returns {MapChanges} */
function readMap(query, before) {
    const map = ownMapChanges();
    const flip = query.get(`${before}map_flip`);
    const scales = query.get(`${before}map_scales`);
    if (flip === 'true' || flip === 'false') {
        map.flip = flip === 'true';
    }
    if (scales && /^[\d.]+(,[\d.]+)*$/.test(scales)) {
        map.scales = scales;
    }
    map.layer = query.get(`${before}map_layer`);
    return map;
}

/** The query of a state, without the question mark. @param {State} state */
export function queryOf(state) {
    const plain = initialState();
    const query = new URLSearchParams();
    for (const name of /** @type {const} */ (['picture', 'model', 'class', 'boxes', 'colours'])) {
        if (state[name] !== plain[name] && state[name] !== null) {
            query.set(name, String(state[name]));
        }
    }
    if (state.threshold !== null) {
        query.set('threshold', short(state.threshold, 3));
    }
    if (state.opacity !== plain.opacity) {
        query.set('heat', short(state.opacity, 2));
    }
    if (!state.outline) {
        query.set('outline', 'no');
    }
    if (state.correct) {
        query.set('correct', 'yes');
    }
    for (const [name, value] of Object.entries(state.filter)) {
        if (value !== '') {
            query.set(`filter_${name}`, value);
        }
    }
    writeMap(query, state.map, '');
    if (state.view) {
        const { zoom, x, y } = state.view;
        query.set('view', [short(zoom, 3), short(x, 4), short(y, 4)].join());
    }
    if (state.beside) {
        query.set('beside', state.beside.model);
        if (state.beside.class !== null) {
            query.set('beside_class', state.beside.class);
        }
        writeMap(query, state.beside.map, 'beside_');
        if (state.difference) {
            query.set('difference', 'yes');
        }
    }
    return query.toString().replaceAll('%2C', ',').replaceAll('%2F', '/');
}

/** @param {string | null} text @param {number} least @param {number} most */
function numberIn(text, least, most) {
    const value = text === null || text === '' ? NaN : Number(text);
    return value >= least && value <= most ? value : null;
}

/** @param {string | null} text @returns {State['view']} */
function readView(text) {
    const [zoom, x, y] = (text ?? '').split(',').map(Number);
    return zoom > 1 && zoom <= 4096 && x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { zoom, x, y } : null;
}

/** The state of a query; what makes no sense in it is as the page begins. @param {string} text
 * @returns {State} */
export function stateOf(text) {
    const query = new URLSearchParams(text);
    const state = initialState();
    const boxes = query.get('boxes');
    state.picture = query.get('picture') || null;
    state.model = query.get('model') ?? '';
    state.class = query.get('class') || null;
    state.colours = query.get('colours') || state.colours;
    if (boxes === 'all' || boxes === 'objects') {
        state.boxes = boxes;
    }
    state.threshold = numberIn(query.get('threshold'), 0, 1);
    state.opacity = numberIn(query.get('heat'), 0, 1) ?? state.opacity;
    state.outline = query.get('outline') !== 'no';
    state.correct = query.get('correct') === 'yes';
    for (const name of /** @type {const} */ (['label', 'score', 'seen', 'sort'])) {
        state.filter[name] = query.get(`filter_${name}`) ?? '';
    }
    state.map = readMap(query, '');
    state.view = readView(query.get('view'));
    if (query.has('beside')) {
        state.beside = {
            model: query.get('beside') ?? '',
            class: query.get('beside_class') || null,
            map: readMap(query, 'beside_'),
        };
        state.difference = query.get('difference') === 'yes';
    }
    return state;
}
