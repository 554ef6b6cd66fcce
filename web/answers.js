/* From the state to what is shown of it: which answer, which class, which map and boxes. Nothing
 * here changes anything but forgetReplaced(); what it computes is kept until its source is gone. */

import { clip, boxesFromMap, foreground, meanInside, scaleBox, unclippedMap, withConfidence } from './boxes.js';
import { mapQuery } from './maps.js';
import { objectBoxes } from './objects.js';
import { boxBetweenSizes } from './prepare.js';
import { state } from './state.js';
import { currentPicture, modelNamed, store } from './store.js';

/**
 * @typedef {import('./state.js').Pane} Pane
 * @typedef {import('./prepare.js').Size} Size
 * @typedef {import('./store.js').Answer} Answer
 * @typedef {import('./store.js').Model} Model
 * @typedef {import('./store.js').Picture} Picture
 * @typedef {import('./store.js').Prediction} Prediction
 * @typedef {import('./store.js').ScoredBox} ScoredBox
 */

/** Below this `present`, the page says that a class is hardly seen. */
export const HARDLY_SEEN = 0.5;

/** The panes of the stage, as the state describes them; a second class follows the first.
 * @returns {Pane[]} */
export function panes() {
    const first = { model: state.model, class: state.class, map: state.map };
    if (!state.beside) {
        return [first];
    }
    return [first, { ...state.beside, class: state.beside.class ?? followed() }];
}

/** The class of the first pane, for the second to follow; null if it is not known yet. */
function followed() {
    if (state.class !== null) {
        return state.class;
    }
    const picture = currentPicture();
    const first = { model: state.model, class: null, map: state.map };
    const best = picture && answerOf(picture, first)?.result?.predictions?.[0];
    return best ? classText(modelNamed(state.model), best) : null;
}

/** The query parameters of a pane's map. @param {Pane} pane */
export function mapOfPane(pane) {
    return mapQuery(modelNamed(pane.model).map, pane.map);
}

/** What tells the answers of a picture apart: the model and the map. @param {Pane} pane */
export function askOf(pane) {
    return JSON.stringify([pane.model, mapOfPane(pane)]);
}

/** The model that was asked, by its name. @param {string} ask */
const modelOfAsk = (ask) => modelNamed(String(JSON.parse(ask)[0]));

/** Whether an answer is of another version of a model than the one that the server lists.
 * @param {any} result @param {Model} model */
export const isOfAnother = (result, model) => result?.model_version !== undefined &&
    model.info.model_version !== undefined && result.model_version !== model.info.model_version;

/** Forgets the answers of models that were replaced, so that they are asked for again. */
export function forgetReplaced() {
    for (const { answers } of store.pictures) {
        for (const [ask, { result }] of answers) {
            if (isOfAnother(result, modelOfAsk(ask))) {
                answers.delete(ask);
            }
        }
    }
}

/** @param {Picture} picture @param {Pane} pane @returns {Answer | null} */
export function answerOf(picture, pane) {
    return picture.answers.get(askOf(pane)) || null;
}

/** How the state names a class: by its label if no other class has it. @param {Model} model
 * @param {{label: string, class_id: number}} prediction */
export function classText(model, { label, class_id: id }) {
    const first = model.classes.indexOf(label);
    const unique = first >= 0 && model.classes.indexOf(label, first + 1) < 0;
    return unique && !label.startsWith('#') ? label : `#${id}`;
}

/** The number of a class that the state names, or -1. @param {Model} model @param {string} text */
export function classIdOf(model, text) {
    return /^#\d+$/.test(text) ? Number(text.slice(1)) : model.classes.indexOf(text);
}

/**
 * The predictions of an answer: the best classes, then those that were asked for.
 * @param {Answer | null} answer
 * @returns {Prediction[]}
 */
export function predictionsOf(answer) {
    if (!answer?.result) {
        return [];
    }
    const best = answer.result.predictions || [];
    const extra = [...answer.extra.values()].map(({ prediction }) => prediction)
        .filter((p) => p && !best.some((/** @type {Prediction} */ b) => b.class_id === p.class_id));
    return [...best, ...extra];
}

/**
 * The prediction that a pane shows, or null (not answered yet, or the class is still asked for).
 * @param {Picture} picture @param {Pane} pane
 */
export function predictionOf(picture, pane) {
    const predictions = predictionsOf(answerOf(picture, pane));
    if (pane.class === null) {
        return predictions[0] || null;
    }
    const id = classIdOf(modelNamed(pane.model), pane.class);
    return predictions.find((p) => p.class_id === id) || null;
}

/** The threshold of a pane: that of the page, of the class, or of the model. @param {Pane} pane
 * @param {Prediction | null} prediction */
export function thresholdOf(pane, prediction) {
    return state.threshold ?? prediction?.threshold ?? modelNamed(pane.model).threshold;
}

/** Whether a class is hardly in the picture. @param {Prediction | null} prediction */
export const hardlySeen = (prediction) => (prediction?.present ?? 1) < HARDLY_SEEN;

/** @typedef {{unclipped: Float64Array, map: Float64Array, width: number, height: number}} ClassMap */

/* A map takes a megabyte and is made in a millisecond: more than what a person looks at is not kept. */
const KEPT_MAPS = 48;

/** @type {Map<object, ClassMap>} by the heatmap of the answer; the one used last is at the end */
const maps = new Map();

/**
 * The map of a prediction at the model's input size, or null if the answer has none.
 * @param {Prediction | null} prediction @param {{width: number, height: number}} model
 * @returns {ClassMap | null}
 */
export function classMapOf(prediction, { width, height }) {
    const heatmap = prediction?.heatmap;
    if (!heatmap) {
        return null;
    }
    let found = maps.get(heatmap);
    if (found?.width !== width || found.height !== height) {
        const unclipped = unclippedMap(heatmap, width, height);
        found = { unclipped, map: clip(unclipped), width, height };
    }
    maps.delete(heatmap);
    maps.set(heatmap, found);
    const [oldest] = maps.keys();
    if (maps.size > KEPT_MAPS) {
        maps.delete(oldest);
    }
    return found;
}

/**
 * The boxes of a prediction that were computed last: every part of the page that shows them asks for
 * the same ones at each step of the threshold.
 * @type {WeakMap<Prediction, {of: string, boxes: ScoredBox[]}>}
 */
const lastBoxes = new WeakMap();

/**
 * The boxes of a prediction in pixels of the picture, as the server gives them.
 * @param {Prediction} prediction @param {Model} model @param {number} threshold
 * @param {string} mode largest, all or objects
 * @param {Size & {sent?: Size}} image with the size of the copy that was sent, if one was
 * @returns {ScoredBox[]}
 */
export function boxesOf(prediction, model, threshold, mode, image) {
    const of = [model.name, model.width, model.height, threshold, mode, image.width, image.height,
        image.sent?.width, image.sent?.height].join();
    let last = lastBoxes.get(prediction);
    if (last?.of !== of) {
        last = { of, boxes: findBoxes(prediction, model, threshold, mode, image) };
        lastBoxes.set(prediction, last);
    }
    return last.boxes;
}

/**
 * @param {Prediction} prediction @param {Model} model @param {number} threshold
 * @param {string} mode largest, all or objects
 * @param {Size & {sent?: Size}} image with the size of the copy that was sent, if one was
 * @returns {ScoredBox[]}
 */
function findBoxes(prediction, model, threshold, mode, image) {
    const found = classMapOf(prediction, model);
    if (!found) {
        return [];
    }
    const { unclipped, map, width, height } = found;
    /** @type {ScoredBox[]} */
    let boxes;
    if (mode === 'objects') {
        const mask = foreground(map, threshold);
        boxes = objectBoxes(unclipped, mask, width, height, model.objects)
            .map((box) => ({ ...box, score: meanInside(map, width, box) }));
    } else {
        boxes = boxesFromMap(map, width, height, threshold, mode === 'all');
    }
    /* By way of the copy, as the server's boxes come: both ways round outward. */
    const sent = image.sent ?? image;
    const scaled = boxes.map((box) => scaleBox(box, width, height, sent.width, sent.height))
        .map((box) => (sent === image ? box : boxBetweenSizes(box, sent, image)));
    /* The confidence is that of a class that is there. */
    return hardlySeen(prediction) ? scaled : withConfidence(scaled, prediction.boxes);
}

/**
 * Everything that a pane shows of a picture.
 * @typedef {object} Shown
 * @property {Pane} pane
 * @property {Model} model
 * @property {Answer | null} answer
 * @property {Prediction | null} prediction
 * @property {number} threshold
 * @property {ScoredBox[]} boxes
 * @property {ClassMap | null} map
 */

/** @param {Picture} picture @param {Pane} pane @returns {Shown} */
export function shownOf(picture, pane) {
    const model = modelNamed(pane.model);
    const answer = answerOf(picture, pane);
    const prediction = predictionOf(picture, pane);
    const threshold = thresholdOf(pane, prediction);
    const image = answer?.result?.image;
    return {
        pane, model, answer, prediction, threshold,
        boxes: prediction && image ? boxesOf(prediction, model, threshold, state.boxes, image) : [],
        map: classMapOf(prediction, model),
    };
}
