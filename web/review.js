/* The boxes that a person leaves on the pictures: drafted by the model, then accepted or corrected.
 *
 * A picture that nobody has looked at has the boxes that the page shows for it, which follow the
 * threshold and the class. The first change, or the acceptance, makes them the person's own: from then
 * on they stay as they are, can be taken back step by step, and are kept in the browser's storage by
 * the picture's id, so that a reload loses nothing. Boxes are in pixels of the picture as displayed. */

import { answerOf, hardlySeen, panes, predictionOf, predictionsOf, shownOf } from './answers.js';
import { bestOverlap } from './boxes.js';
import { changed, historyOf, redone, undone } from './history.js';
import { allKept, forget, keep } from './keep.js';
import { shownPicture } from './stage.js';
import { touch } from './state.js';
import { store } from './store.js';

/**
 * @typedef {import('./exports.js').LabelledBox} LabelledBox
 * @typedef {import('./order.js').Verdict} Verdict
 * @typedef {import('./store.js').Picture} Picture
 */

/**
 * What a person left on a picture. An open verdict means that the boxes are the model's.
 * @typedef {{boxes: LabelledBox[], verdict: Verdict}} Drawn
 */

/**
 * As it is kept. `sent` is the text of the boxes that the server has, `as` their name there.
 * @typedef {Drawn & {id: string, name: string, width: number, height: number, as?: string,
 *     sent?: string}} Note
 */

/** @type {Map<string, import('./history.js').History<Drawn>>} by the picture's id */
const histories = new Map();
/** @type {Map<string, Note>} as kept in the storage */
const notes = new Map();
/** @type {Map<string, string>} the last change of each, for changes that are joined */
const lastChange = new Map();

/** @type {Drawn} */
const NOTHING = { boxes: [], verdict: '' };

/** The boxes that the model drafts with the page's class, threshold and kind of boxes.
 * @param {Picture} picture @returns {LabelledBox[]} */
export function draftOf(picture) {
    const { prediction, boxes } = shownOf(picture, panes()[0]);
    return !prediction || hardlySeen(prediction) ? []
        : boxes.map(({ x0, y0, x1, y1, confidence }) => ({
            x0, y0, x1, y1, label: prediction.label, score: prediction.score * (confidence ?? 1),
        }));
}

/** @param {Picture} picture @returns {Drawn} */
const ownOf = (picture) => histories.get(picture.id)?.present ?? NOTHING;

/** The label that the page shows for a picture; null before the answer. @param {Picture} picture */
export const labelOf = (picture) => predictionOf(picture, panes()[0])?.label ?? null;

/** Labels that a box of a picture probably has: those that its boxes have, the best classes, and what
 * others were called. @param {Picture} picture @returns {string[]} */
export function suggestions(picture) {
    const own = boxesOn(picture).map(({ label }) => label);
    const best = predictionsOf(answerOf(picture, panes()[0])).map(({ label }) => label);
    const others = [...histories.values()].reverse()
        .flatMap(({ present }) => present.boxes.map(({ label }) => label));
    return [...new Set([...best, ...own, ...others])].slice(0, 9);
}

/** Whether a person has accepted or corrected the boxes. @param {Picture} picture @returns {Verdict} */
export const verdictOf = (picture) => ownOf(picture).verdict;

/** The boxes of a picture: the person's, or else the model's draft.
 * @param {Picture} picture @returns {LabelledBox[]} */
export function boxesOn(picture) {
    const own = ownOf(picture);
    return own.verdict === '' ? draftOf(picture) : own.boxes;
}

/** What the boxes of a picture agree with the draft: the IoU of one box with the nearest that has its
 * label; null if there is none. @param {Picture} picture @param {LabelledBox} box */
export function agreement(picture, box) {
    return bestOverlap(box, draftOf(picture).filter(({ label }) => label === box.label));
}

/** The size of a picture, if it is on the stage, was answered or has boxes. @param {Picture} picture */
export function sizeOf(picture) {
    const stage = shownPicture();
    const known = stage?.picture === picture ? stage
        : answerOf(picture, panes()[0])?.result?.image ?? notes.get(picture.id);
    return known ? { width: Number(known.width), height: Number(known.height) } : null;
}

/** @param {Picture} picture */
function save(picture) {
    const { boxes, verdict } = ownOf(picture);
    const before = notes.get(picture.id);
    const size = sizeOf(picture);
    if (!size) {
        return;
    }
    const note = {
        ...before, id: picture.id, name: picture.name, boxes, verdict,
        width: size.width, height: size.height,
    };
    notes.set(picture.id, note);
    void keep('notes', picture.id, note);
}

/**
 * Makes boxes the person's own.
 * @param {Picture} picture @param {LabelledBox[]} boxes @param {Verdict} verdict
 * @param {string} [join] changes with the same name, one after the other, are one step back
 */
export function setBoxes(picture, boxes, verdict, join = '') {
    const history = histories.get(picture.id) ?? historyOf(NOTHING);
    const joined = join !== '' && lastChange.get(picture.id) === join;
    /* What a person has touched is no guess any more. */
    const own = verdict === '' ? boxes
        : boxes.map(({ x0, y0, x1, y1, label }) => ({ x0, y0, x1, y1, label }));
    histories.set(picture.id, changed(history, { boxes: own, verdict }, joined));
    lastChange.set(picture.id, join);
    save(picture);
    touch('drawn');
}

/** Ends a chain of changes that are one step back. @param {Picture} picture */
export function endChange(picture) {
    lastChange.delete(picture.id);
}

/** @param {Picture} picture @param {(h: import('./history.js').History<Drawn>) =>
 *     import('./history.js').History<Drawn>} move */
function walk(picture, move) {
    const history = histories.get(picture.id);
    if (!history || move(history) === history) {
        return false;
    }
    histories.set(picture.id, move(history));
    lastChange.delete(picture.id);
    save(picture);
    touch('drawn');
    return true;
}

/** @param {Picture} picture */
export const undo = (picture) => walk(picture, undone);
/** @param {Picture} picture */
export const redo = (picture) => walk(picture, redone);
/** @param {Picture} picture */
export const canUndo = (picture) => (histories.get(picture.id)?.past.length ?? 0) > 0;
/** @param {Picture} picture */
export const canRedo = (picture) => (histories.get(picture.id)?.future.length ?? 0) > 0;

/** Whether the draft was left as it was. @param {Picture} picture */
const isDraft = (picture) => {
    const draft = draftOf(picture);
    const { boxes } = ownOf(picture);
    return boxes.length === draft.length && boxes.every((box, index) =>
        box.label === draft[index].label && bestOverlap(box, [draft[index]]) === 1);
};

/** Whether there is something to accept: before the model has answered there is no draft, which is not
 * the same as one without boxes. @param {Picture} picture */
export const acceptable = (picture) => verdictOf(picture) !== '' || labelOf(picture) !== null;

/** Says that the boxes are right as they are. @param {Picture} picture */
export function accept(picture) {
    const own = ownOf(picture);
    if (!acceptable(picture)) {
        return;
    }
    if (own.verdict === '') {
        setBoxes(picture, draftOf(picture), 'accepted');
    } else if (own.verdict === 'corrected' && isDraft(picture)) {
        setBoxes(picture, own.boxes, 'accepted');
    }
}

/** The pictures whose boxes a person has left, as they are exported. */
export function reviewed() {
    return store.pictures.filter((picture) => verdictOf(picture) !== '');
}

/** The pictures that are exported: those a person has looked at, or, if there are none, all that were
 * answered. */
export function exported() {
    const own = reviewed();
    return (own.length > 0 ? own : store.pictures)
        .filter((picture) => acceptable(picture) && sizeOf(picture) !== null);
}

/** Those pictures in the form of exports.js. @returns {import('./exports.js').Picture[]} */
export function forExport() {
    return exported().flatMap((picture) => {
        const size = sizeOf(picture);
        const drafted = verdictOf(picture) === '';
        return size ? [{ name: picture.name, ...size, boxes: boxesOn(picture), drafted }] : [];
    });
}

/* --- what the server has ------------------------------------------------------ */

/** @param {LabelledBox[]} boxes */
export const textOf = (boxes) => JSON.stringify(
    boxes.map(({ x0, y0, x1, y1, label }) => ({ x0, y0, x1, y1, label })));

/** The pictures whose boxes the server does not have as they are now. */
export const unsent = () => reviewed().filter((picture) =>
    notes.get(picture.id)?.sent !== textOf(boxesOn(picture)));

/** @param {Picture} picture */
export const noteOf = (picture) => notes.get(picture.id) ?? null;

/** Remembers what the server has. @param {Picture} picture @param {string} as @param {string} sent */
export function markSent(picture, as, sent) {
    const note = notes.get(picture.id);
    if (note) {
        Object.assign(note, { as, sent });
        void keep('notes', picture.id, note);
        touch('drawn');
    }
}

/** Forgets what was drawn on a picture. @param {Picture} picture */
export function forgetBoxes(picture) {
    histories.delete(picture.id);
    notes.delete(picture.id);
    void forget('notes', picture.id);
}

/** Brings back what was drawn before a reload. */
export async function startReview() {
    for (const note of await allKept('notes')) {
        notes.set(note.id, note);
        if (!histories.has(note.id)) {
            histories.set(note.id, historyOf({ boxes: note.boxes, verdict: note.verdict }));
        }
    }
    touch('drawn');
}
