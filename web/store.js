/* What the page knows: the pictures, the server's models, and what the server answered about each
 * picture. Changes are told by touch() (state.js). */

import { change, state, touch } from './state.js';
import { objectRule } from './objects.js';
import { ownMap } from './maps.js';

/**
 * @typedef {import('./objects.js').Box} Box
 * @typedef {Box & {score: number, confidence?: number}} ScoredBox
 * @typedef {{width: number, height: number, data: number[], raw?: number[]}} Heatmap
 * @typedef {object} Prediction
 * @property {number} class_id
 * @property {string} label
 * @property {number} score
 * @property {number} [present] how sure it is that the class is there, 0 to 1
 * @property {number} [threshold] the class's own
 * @property {ScoredBox[]} boxes
 * @property {Heatmap} [heatmap]
 */

/**
 * The server's answer about one picture, by one model with one map rule. `extra` has the classes
 * that were asked for one by one, by the text that asked (state.class).
 * @typedef {object} Answer
 * @property {'waiting' | 'busy' | 'done' | 'error'} status
 * @property {string} note what is waited for
 * @property {any} problem an api.Problem, with status error
 * @property {any} result the JSON, with status done
 * @property {Map<string, Extra>} extra
 */

/**
 * @typedef {{status: 'waiting' | 'busy' | 'done' | 'error', prediction: Prediction | null,
 *     problem: any}} Extra
 */

/**
 * @typedef {object} Picture
 * @property {string} id of the content, or the path of one that the server has
 * @property {Blob} file as it is sent
 * @property {string} name
 * @property {string} type the media type as detected, '' before the first request
 * @property {string} url of the file, for an <img>
 * @property {boolean} served whether the server has it (its id is the path)
 * @property {import('./prepare.js').Sendable | null} sendable what is sent for it, once that is known
 * @property {Map<string, Answer>} answers by ask (answers.js)
 */

/**
 * @typedef {object} Model
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number} threshold
 * @property {import('./maps.js').MapRule} map
 * @property {{prominence: number, area: number}} objects
 * @property {string[]} classes
 * @property {any} info the server's description
 */

export const store = {
    /** @type {Picture[]} in order of arrival */
    pictures: [],
    /** @type {Model[]} */
    models: [],
    token: '',
    /** @type {'checking' | 'ready' | 'loading' | 'away'} */
    health: 'checking',
    /** What the server takes. @type {import('./prepare.js').Limits} */
    limits: { bodyBytes: 16 * 1024 * 1024, pixels: 1e8 },
    /** Whether the server keeps annotations. */
    annotations: false,
    /** Ends the reading of folders while there is any. @type {AbortController | null} */
    reading: null,
};

/** @type {Model} what is assumed before the server has said more */
const UNKNOWN = {
    name: '', width: 224, height: 224, threshold: 0.35, map: ownMap(), objects: objectRule(),
    classes: [], info: {},
};

/** The model with a name; without one, or if it is not loaded, the first. @param {string} name */
export function modelNamed(name) {
    return store.models.find((model) => model.name === name) || store.models[0] || UNKNOWN;
}

/** @returns {Picture | null} */
export function currentPicture() {
    return store.pictures.find((picture) => picture.id === state.picture) || null;
}

/** 53 bits of a hash of bytes, which tell the pictures of a person apart. @param {Uint8Array} bytes */
function hashOf(bytes) {
    let a = 0xdeadbeef ^ bytes.length;
    let b = 0x41c6ce57;
    for (const byte of bytes) {
        a = Math.imul(a ^ byte, 2654435761);
        b = Math.imul(b ^ byte, 1597334677);
    }
    a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
    b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
    return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
}

/* A file is hashed as a whole up to this size; of a larger one as much, in equal parts all over it. */
const HASHED_BYTES = 2097152;
const PARTS = 32;

/**
 * The id of a file, from its length and contents: the same picture has the same id whatever its name, and
 * a picture of many megabytes is not read as a whole for it.
 * @param {Blob} file
 */
export async function idOf(file) {
    const count = file.size <= HASHED_BYTES ? 1 : PARTS;
    const size = HASHED_BYTES / count;
    const parts = Array.from({ length: count }, (_, i) => {
        const start = count === 1 ? 0 : Math.floor(i * (file.size - size) / (count - 1));
        return file.slice(start, start + size);
    });
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return `${hashOf(bytes)}-${file.size.toString(36)}`;
}

/**
 * Adds a picture, unless it is there, and returns it.
 * @param {{id: string, file: Blob, name: string, served?: boolean}} given
 * @returns {Picture}
 */
export function addPicture({ id, file, name, served = false }) {
    const known = store.pictures.find((picture) => picture.id === id);
    if (known) {
        return known;
    }
    const picture = {
        id, file, name, served, type: '', url: URL.createObjectURL(file), answers: new Map(),
        sendable: null,
    };
    store.pictures.push(picture);
    touch('pictures');
    return picture;
}

/** Removes a picture; the next one, or the last, takes its place. @param {Picture} picture */
export function removePicture(picture) {
    const at = store.pictures.indexOf(picture);
    if (at < 0) {
        return;
    }
    const place = order.indexOf(picture);
    const left = order.filter((each) => each !== picture);
    store.pictures.splice(at, 1);
    URL.revokeObjectURL(picture.url);
    if (state.picture === picture.id) {
        const next = left[Math.min(Math.max(place, 0), left.length - 1)] ??
            store.pictures[Math.min(at, store.pictures.length - 1)];
        change({ picture: next ? next.id : null, class: null, view: null });
    }
    touch('pictures');
}

/** Shows a picture, whole, with its best class. @param {Picture} picture */
export function selectPicture(picture) {
    if (picture.id !== state.picture) {
        change({ picture: picture.id, class: null, view: null });
    }
}

/** @type {Picture[]} as the filmstrip shows them */
let order = [];

/** Says in which order the filmstrip shows the pictures, some of which it may leave out.
 * @param {Picture[]} pictures */
export function setOrder(pictures) {
    order = pictures;
}

/** Shows the next (1) or previous (-1) picture. @param {number} step */
export function stepPicture(step) {
    const at = order.findIndex((picture) => picture.id === state.picture);
    const next = order[at + step];
    if (next) {
        selectPicture(next);
    }
    return next || null;
}
