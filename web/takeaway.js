/* Taking the boxes away: as a file in the format of another tool, or into the server's directory of
 * annotations, where calibrate finds them. */

import * as api from './api.js';
import { panes } from './answers.js';
import { saveFile } from './actions.js';
import { $, announce, buttonOf, selectOf } from './dom.js';
import { exportBoxes } from './exports.js';
import { boxBetweenSizes } from './prepare.js';
import { sendableFor } from './queue.js';
import * as review from './review.js';
import { subscribe } from './state.js';
import { modelNamed, store } from './store.js';
import { t } from './text.js';

/** @typedef {import('./store.js').Picture} Picture */

function save() {
    const model = modelNamed(panes()[0].model);
    const { name, type, data } = exportBoxes(selectOf('export-format').value, review.forExport(),
        model.classes, { model: model.name, when: new Date() });
    saveFile(new Blob([/** @type {BlobPart} */ (data)], { type }), name);
    announce(t('action.saved'));
}

/* --- to the server ---------------------------------------------------------------- */

/* Bytes of a name that the server takes, with room for a number. */
const NAME_BYTES = 170;

/** A name for a picture that the server takes: plain, and no path. @param {string} name */
function plainName(name) {
    let plain = name.replace(/[/\\]+/g, '_').replace(/[\u0000-\u001f\u007f]/g, '')
        .replace(/^[. ]+/, '').trim() || 'picture';
    while (new TextEncoder().encode(plain).length > NAME_BYTES) {
        plain = [...plain].slice(1).join('').replace(/^[. ]+/, '');
    }
    return plain;
}

/** @param {string} name @param {number} number */
const numbered = (name, number) => (number === 1 ? name
    : name.replace(/(\.[^.]*)?$/, `-${number}$1`));

/** Sends a picture under the name that it has there, its own, or, if another one has that, with a number.
 * @param {Picture} picture @param {Blob} file @param {string} type @param {AbortSignal} signal */
async function sendPicture(picture, file, type, signal) {
    let known = review.noteOf(picture)?.as;
    const plain = plainName(picture.name);
    for (let number = 1; ; number++) {
        const name = known ?? numbered(plain, number);
        try {
            await api.putAnnotation(name, file, type, { token: store.token, signal });
            return name;
        } catch (error) {
            const problem = /** @type {api.Problem} */ (error);
            if (problem.status !== 409 || number === 100) {
                throw problem;
            }
            if (known) {
                /* Somebody has put another picture there meanwhile. */
                known = undefined;
                number = 0;
            }
        }
    }
}

/** @param {Picture} picture @param {AbortSignal} signal */
async function sendOne(picture, signal) {
    const boxes = review.boxesOn(picture);
    const text = review.textOf(boxes);
    const { file, type, original, sent } = await sendableFor(picture);
    const name = await sendPicture(picture, file, type, signal);
    const scaled = original && sent ? boxes.map((box) => boxBetweenSizes(box, original, sent)) : boxes;
    const body = new Blob([`{"boxes":${review.textOf(scaled)}}`], { type: 'application/json' });
    await api.putAnnotation(name, body, 'application/json', { token: store.token, signal });
    review.markSent(picture, name, text);
}

/* What is wrong with one picture or its boxes, and no reason to keep the others back. */
const OF_ONE = [400, 409, 413, 415, 422];

/** Sends one picture, and says why the server does not take it, or ''. @param {Picture} picture
 * @param {AbortSignal} signal */
async function refusalOf(picture, signal) {
    try {
        await sendOne(picture, signal);
        return '';
    } catch (error) {
        const problem = /** @type {api.Problem} */ (error);
        /* Without a status it is this browser that cannot make a copy to send. */
        const ofOne = OF_ONE.includes(problem.status) ||
            (problem.status === 0 && !problem.unanswered);
        if (!ofOne) {
            throw problem;
        }
        return problem.detail || problem.message;
    }
}

/** @type {AbortController | null} */
let sending = null;
let sentCount = 0;
let failure = '';

async function send() {
    if (sending) {
        sending.abort();
        return;
    }
    sending = new AbortController();
    const { signal } = sending;
    sentCount = 0;
    failure = '';
    try {
        for (const picture of review.unsent()) {
            show();
            const refusal = await refusalOf(picture, signal);
            failure ||= refusal && `${picture.name}: ${refusal}`;
            sentCount += Number(refusal === '');
        }
        announce(failure || t('send.done', { count: sentCount }));
    } catch (error) {
        const problem = /** @type {api.Problem} */ (error);
        failure = signal.aborted ? '' : problem.detail || problem.message;
    }
    sending = null;
    show();
}

/* --- showing ----------------------------------------------------------------------- */

function show() {
    const done = review.reviewed().length;
    const open = review.unsent().length;
    const count = review.exported().length;
    buttonOf('export-save').disabled = count === 0;
    $('export-what').textContent = t(done > 0 ? 'export.reviewed' : 'export.drafts', { count });
    $('send-row').hidden = !store.annotations;
    buttonOf('send').disabled = !sending && open === 0;
    $('send-text').textContent = sending ? t('send.stop') : t('send.send');
    $('send-note').textContent = sending
        ? t('send.progress', { done: sentCount, total: sentCount + open })
        : failure || (open > 0 ? t('send.open', { count: open })
            : done > 0 ? t('send.all') : t('send.none'));
    $('send-note').classList.toggle('wrong', !sending && failure !== '');
}

export function startTakeaway() {
    buttonOf('export-save').addEventListener('click', save);
    buttonOf('send').addEventListener('click', () => void send());
    let scheduled = false;
    subscribe(['drawn', 'pictures', 'models', 'answers', 'model', 'map', 'class', 'language'], () => {
        if (!scheduled) {
            scheduled = true;
            requestAnimationFrame(() => {
                scheduled = false;
                show();
            });
        }
    });
    show();
}
