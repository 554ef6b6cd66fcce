/* The pictures of a visit in the browser's storage. A visit is what happens in one tab from an empty page
 * on, reloads included; what belongs to it comes back after a reload, in the order in which it came. Of
 * other visits only a picture that the address names comes, and what has been there for long goes. */

import { allKept, forget, update } from './keep.js';

/**
 * A picture as it is kept: with its file, but for those that the server has, and when it came into which
 * visits.
 * @typedef {{id: string, name: string, file?: Blob, visits?: [string, number][]}} Kept
 */

const KEPT_DAYS = 30;
const DAY_MS = 86400000;
const MOST_VISITS = 8; /* that one picture belongs to */
const KEY = 'visit';

let lastAt = 0;

/** Milliseconds since 1970, later for each picture. */
function now() {
    lastAt = Math.max(performance.timeOrigin + performance.now(), lastAt + 0.01);
    return lastAt;
}

/** Some browsers refuse the storage of a tab; there every load is a visit of its own.
 * @returns {string} */
function readVisit() {
    try {
        return sessionStorage.getItem(KEY) ?? '';
    } catch {
        return '';
    }
}

let visit = readVisit();
if (visit === '') {
    beginVisit();
}

/** Begins with an empty page. */
export function beginVisit() {
    visit = Math.random().toString(36).slice(2);
    try {
        sessionStorage.setItem(KEY, visit);
    } catch {
        /* It ends with the page. */
    }
}

/** Keeps a picture for the rest of the visit. @param {{id: string, name: string, file?: Blob}} picture */
export function keepPicture(picture) {
    const at = now();
    return update('pictures', picture.id, (/** @type {Kept | undefined} */ known) => ({
        ...picture, visits: [...(known?.visits ?? []).filter(([name]) => name !== visit),
            [visit, at]].slice(-MOST_VISITS),
    }));
}

/** When a picture came into this visit; undefined: it did not. @param {Kept} kept */
const cameAt = ({ visits = [] }) => visits.find(([name]) => name === visit)?.[1];

/** The pictures of this visit in the order in which they came. One that the address names comes into
 * it, as the last, if it is of another. @param {string} named @returns {Promise<Kept[]>} */
export async function picturesOfVisit(named) {
    /** @type {Kept[]} */
    const all = await allKept('pictures');
    const own = all.filter((each) => cameAt(each) !== undefined)
        .sort((a, b) => Number(cameAt(a)) - Number(cameAt(b)));
    const other = own.some(({ id }) => id === named) ? null : all.find(({ id }) => id === named);
    if (!other) {
        return own;
    }
    const { visits: _, ...picture } = other;
    /* Before it is shown: who then leaves the page finds it when coming back. */
    await keepPicture(picture);
    return [...own, other];
}

/** Forgets pictures of long ago; what a person drew on them stays, for when they come again.
 * @param {string | null} named which is in use */
export async function forgetOld(named) {
    const oldest = Date.now() - KEPT_DAYS * DAY_MS;
    /** @type {Kept[]} */
    const all = await allKept('pictures');
    const old = new Set(all.filter((each) => each.id !== named && cameAt(each) === undefined &&
        (each.visits?.at(-1)?.[1] ?? 0) < oldest).map(({ id }) => id));
    if (old.size === 0) {
        return;
    }
    const empty = (await allKept('notes')).filter(({ id, verdict }) => old.has(id) && verdict === '');
    if (empty.length > 0) {
        await forget('notes', ...empty.map(({ id }) => id));
    }
    await forget('pictures', ...old);
}
