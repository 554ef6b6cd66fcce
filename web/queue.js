/* Asks the server for what the page needs and does not know: the answers about the pictures, in the
 * way that the state describes, and single classes. One request at a time, what is on the screen
 * first; the server's queue is left to other users. What is no longer wanted is given up. */

import * as api from './api.js';
import { answerOf, askOf, classIdOf, isOfAnother, mapOfPane, panes, predictionOf } from './answers.js';
import { boxBetweenSizes, sendableOf } from './prepare.js';
import { state, subscribe, touch } from './state.js';
import { currentPicture, modelNamed, store } from './store.js';
import { t } from './text.js';

/**
 * @typedef {import('./state.js').Pane} Pane
 * @typedef {import('./store.js').Answer} Answer
 * @typedef {import('./store.js').Extra} Extra
 * @typedef {import('./store.js').Picture} Picture
 * @typedef {{picture: Picture, pane: Pane, ask: string, extra: boolean, abort: AbortController}} Job
 */

const PATIENCE_S = 90;         /* for one picture, while the server answers "try later" */
const LONGEST_WAIT_S = 20;     /* between two attempts, whatever Retry-After says */

/** @type {Job | null} */
let running = null;

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
const pause = (ms, signal) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
    }, { once: true });
});

/** What is wanted, the most urgent first. @returns {{picture: Picture, pane: Pane}[]} */
function wanted() {
    const shown = panes();
    const current = currentPicture();
    const first = { ...shown[0], class: null };
    return [
        ...(current ? shown.map((pane) => ({ picture: current, pane })) : []),
        ...(state.paused ? [] : store.pictures.filter((picture) => picture !== current)
            .map((picture) => ({ picture, pane: first }))),
    ];
}

/** @param {Picture} picture @param {Pane} pane @returns {Job | null} what is missing, if anything */
function missing(picture, pane) {
    const ask = askOf(pane);
    let answer = picture.answers.get(ask);
    if (!answer) {
        answer = { status: 'waiting', note: '', problem: null, result: null, extra: new Map() };
        picture.answers.set(ask, answer);
    }
    const job = { picture, pane, ask, abort: new AbortController() };
    if (answer.status === 'waiting') {
        return { ...job, extra: false };
    }
    if (answer.status === 'done' && pane.class !== null && !predictionOf(picture, pane) &&
        (answer.extra.get(pane.class)?.status ?? 'waiting') === 'waiting') {
        return { ...job, extra: true };
    }
    return null;
}

/** @param {Job} job */
function stillWanted({ picture, pane, ask, extra }) {
    return wanted().some((want) => want.picture === picture && askOf(want.pane) === ask &&
        (!extra || want.pane.class === pane.class));
}

/** Begins what is missing, and ends what is no longer wanted. */
function ensure() {
    if (running && !stillWanted(running)) {
        running.abort.abort();
    }
    if (running || store.models.length === 0) {
        return;
    }
    for (const { picture, pane } of wanted()) {
        const job = missing(picture, pane);
        if (job) {
            running = job;
            void run(job);
            return;
        }
    }
}

/** @param {Job} job */
async function run(job) {
    const answer = /** @type {Answer} */ (job.picture.answers.get(job.ask));
    /** @type {Answer | Extra} */
    let entry = answer;
    if (job.extra) {
        entry = { status: 'busy', prediction: null, problem: null };
        answer.extra.set(String(job.pane.class), entry);
    }
    entry.status = 'busy';
    touch('answers');
    try {
        const result = await request(job, answer);
        if (job.extra) {
            /** @type {Extra} */ (entry).prediction = result.predictions[0] ?? null;
        } else {
            answer.result = result;
        }
        entry.status = 'done';
    } catch (error) {
        entry.status = job.abort.signal.aborted ? 'waiting' : 'error';
        entry.problem = error;
        if (/** @type {any} */ (error).status === 401) {
            touch('token');
        }
    }
    answer.note = '';
    running = null;
    touch('answers');
    ensure();
}

const MIB = 1048576;

/** @param {number} bytes */
const mib = (bytes) => {
    const size = bytes / MIB;
    return size < 1 ? size.toFixed(2) : size < 10 ? size.toFixed(1) : String(Math.round(size));
};

/** How a message names the sizes of a picture. @param {Picture} picture */
export const sizesOf = (picture) => ({
    name: picture.name, has: mib(picture.file.size), takes: mib(store.limits.bodyBytes),
});

/** What is sent for a picture, made once: the file, or a copy that the server takes.
 * @param {Picture} picture @param {boolean} [tooManyPixels] the server has refused the file for them */
export async function sendableFor(picture, tooManyPixels = false) {
    if (picture.sendable && !tooManyPixels) {
        return picture.sendable;
    }
    const type = await api.imageType(picture.file);
    try {
        picture.sendable = await sendableOf(picture.file, type, store.limits, tooManyPixels);
        picture.type = picture.sendable.type;
        return picture.sendable;
    } catch {
        const key = type ? 'problem.toolarge' : 'problem.shown';
        throw new api.Problem({ title: t(key), detail: t(`${key}.detail`, sizesOf(picture)) });
    }
}

/**
 * An answer about a copy, in pixels of the original. `sent` remembers the size of the copy.
 * @param {any} result @param {import('./prepare.js').Size | null} original
 * @param {import('./prepare.js').Size | null} sent
 */
function inOriginal(result, original, sent) {
    if (!original || !sent || (original.width === sent.width && original.height === sent.height)) {
        return result;
    }
    const predictions = result.predictions.map((/** @type {import('./store.js').Prediction} */ p) => ({
        ...p, boxes: p.boxes.map((box) => boxBetweenSizes(box, sent, original)),
    }));
    return { ...result, image: { ...original, sent }, predictions };
}

/** @param {Job} job @param {Answer} answer */
async function request({ picture, pane, extra, abort: { signal } }, answer) {
    await sendableFor(picture);
    const model = modelNamed(pane.model);
    const id = extra ? classIdOf(model, String(pane.class)) : -1;
    const start = performance.now();
    for (;;) {
        try {
            const { file, type, original, sent } = await sendableFor(picture);
            const result = await api.localize(file, type, {
                model: pane.model, map: mapOfPane(pane), token: store.token, signal,
                classId: extra ? (id >= 0 ? id : String(pane.class)) : undefined,
            });
            if (isOfAnother(result, modelNamed(pane.model))) {
                touch('replaced');
            }
            return inOriginal(result, original, sent);
        } catch (error) {
            const problem = /** @type {api.Problem} */ (error);
            if (problem.status === 413 && picture.sendable?.why === '') {
                await sendableFor(picture, true);
                continue;
            }
            const later = problem.status === 503 || problem.status === 429;
            const waited = (performance.now() - start) / 1000;
            if (signal.aborted || !later || waited > PATIENCE_S) {
                throw problem;
            }
            const wait = Math.min(Math.max(problem.retryAfter, 1), LONGEST_WAIT_S);
            answer.note = store.health === 'loading' ? t('busy.model')
                : t('busy.later', { seconds: wait });
            touch('answers');
            await pause(wait * 1000, signal);
            answer.note = '';
            touch('answers');
            signal.throwIfAborted();
        }
    }
}

/**
 * Asks again for what failed, where the problem is one of those meant.
 * @param {(problem: any) => boolean} [meant]
 * @param {Picture | null} [only] one picture alone
 */
export function retry(meant = () => true, only = null) {
    for (const picture of only ? [only] : store.pictures) {
        for (const [ask, answer] of picture.answers) {
            if (answer.status === 'error' && meant(answer.problem)) {
                picture.answers.delete(ask);
            }
            for (const [text, extra] of answer.extra) {
                if (extra.status === 'error' && meant(extra.problem)) {
                    answer.extra.delete(text);
                }
            }
        }
    }
    touch('answers');
    ensure();
}

/** Whether a picture is being asked about, or waits to be. @param {Picture} picture */
export function isBusy(picture) {
    return panes().some((pane) => {
        const answer = answerOf(picture, pane);
        const extra = pane.class === null ? null : answer?.extra.get(pane.class);
        return !answer || ['waiting', 'busy'].includes(answer.status) ||
            (picture.id === state.picture && extra?.status === 'busy');
    });
}

export function startQueue() {
    subscribe(['pictures', 'models', 'picture', 'model', 'class', 'map', 'beside', 'paused'], ensure);
    ensure();
}
