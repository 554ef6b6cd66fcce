/* Taking away what is shown: the overlay as a picture, the JSON, the curl command. All of it says
 * what the screen says, because it is made from the same state. */

import * as api from './api.js';
import { answerOf, boxesOf, classIdOf, mapOfPane, panes, predictionOf, shownOf, thresholdOf } from './answers.js';
import { $, announce, buttonOf, contextOf, element } from './dom.js';
import { paintFindings } from './paint.js';
import { drawable } from './prepare.js';
import { state, subscribe } from './state.js';
import { currentPicture, modelNamed, store } from './store.js';
import { t } from './text.js';

/** @typedef {import('./store.js').Picture} Picture */
/** @typedef {import('./store.js').Prediction} Prediction */

const SAVED_SIDE_PX = 4096;    /* a larger picture is saved reduced to this side length */

/** The request whose answer is what the first pane shows, as words of a shell. @param {Picture} picture */
export function curlWordsOf(picture) {
    const [pane] = panes();
    const id = pane.class === null ? -1 : classIdOf(modelNamed(pane.model), pane.class);
    return api.curlWords({
        name: picture.name,
        type: picture.type || 'image/jpeg',
        model: pane.model,
        threshold: state.threshold ?? undefined,
        boxes: state.boxes,
        map: mapOfPane(pane),
        classId: pane.class === null ? undefined : id >= 0 ? id : pane.class,
        token: store.token,
        base: document.baseURI,
    });
}

/**
 * The server's answer to that request: its own, with the boxes of the threshold and the kind that
 * are shown. With a class of its own it holds that class alone, as the server's does.
 * @param {Picture} picture
 */
export function answerShown(picture) {
    const [pane] = panes();
    const result = answerOf(picture, pane)?.result;
    const one = pane.class === null ? null : predictionOf(picture, pane);
    /** @type {Prediction[]} */
    const predictions = one ? [one] : result.predictions;
    const model = modelNamed(pane.model);
    const { sent: _, ...image } = result.image;
    return {
        ...result, image,
        predictions: predictions.map((prediction) => {
            const threshold = thresholdOf(pane, prediction);
            return {
                ...prediction, threshold,
                boxes: boxesOf(prediction, model, threshold, state.boxes, result.image),
            };
        }),
    };
}

/** @param {HTMLButtonElement} button @param {() => Promise<string>} action */
async function confirmOn(button, action) {
    const label = /** @type {HTMLElement} */ (button.querySelector('span'));
    const before = button.dataset.before ?? label.textContent ?? '';
    button.dataset.before = before;
    let text;
    try {
        text = await action();
    } catch {
        text = t('action.failed');
    }
    label.textContent = text;
    button.classList.add('confirmed');
    announce(text);
    setTimeout(() => {
        label.textContent = before;
        delete button.dataset.before;
        button.classList.remove('confirmed');
    }, 1600);
}

/** Browsers offer the clipboard interface only over https and on localhost. @param {string} text */
async function copyText(text) {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return t('action.copied');
    }
    const area = element('textarea', { className: 'visually-hidden' });
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    focused?.focus();
    if (!copied) {
        throw new Error('not copied');
    }
    return t('action.copied');
}

/** @param {Blob} blob @param {string} name */
export function saveFile(blob, name) {
    const link = element('a', { download: name, href: URL.createObjectURL(blob) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Saves the picture at its own size, with the findings of the first pane, as a PNG.
 * @param {Picture} picture */
async function saveOverlay(picture) {
    const { source, size, close } = await drawable(picture.file);
    const longer = Math.max(size.width, size.height);
    const scale = Math.min(SAVED_SIDE_PX / longer, 1);
    const canvas = element('canvas');
    canvas.width = Math.max(Math.round(size.width * scale), 1);
    canvas.height = Math.max(Math.round(size.height * scale), 1);
    const context = contextOf(canvas);
    context.imageSmoothingQuality = 'high';
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    /* Lines and letters have the size that they have on a screen of this many pixels. */
    const unit = Math.max(longer * scale / 700, 1);
    paintFindings(context, shownOf(picture, panes()[0]), size,
        { left: 0, top: 0, scale: canvas.width / size.width }, unit, state);
    close();
    const blob = await new Promise((/** @type {BlobCallback} */ resolve) => {
        canvas.toBlob(resolve, 'image/png');
    });
    if (!blob) {
        throw new Error('not drawn');
    }
    saveFile(blob, `${picture.name.replace(/\.[^.]*$/, '')}-overlay.png`);
    return t('action.saved');
}

function show() {
    const picture = currentPicture();
    const done = picture && answerOf(picture, panes()[0])?.status === 'done';
    $('actions').hidden = !done;
    if (picture && done) {
        $('curl').textContent = curlWordsOf(picture).join(' \\\n  ');
    }
}

export function startActions() {
    /** @type {[string, (picture: Picture) => Promise<string>][]} */
    const actions = [
        ['download', saveOverlay],
        ['copy-json', (picture) => copyText(JSON.stringify(answerShown(picture), null, 2))],
        ['copy-curl', (picture) => copyText(curlWordsOf(picture).join(' '))],
    ];
    for (const [id, action] of actions) {
        buttonOf(id).addEventListener('click', () => {
            const picture = currentPicture();
            if (picture) {
                void confirmOn(buttonOf(id), () => action(picture));
            }
        });
    }
    subscribe(['picture', 'pictures', 'model', 'models', 'class', 'map', 'threshold', 'boxes',
        'answers', 'token'], show);
    show();
}
