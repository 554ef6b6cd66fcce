/* The strip of pictures. */

import { answerOf, panes } from './answers.js';
import { $, element, icon } from './dom.js';
import { forget } from './keep.js';
import { state, subscribe } from './state.js';
import { removePicture, selectPicture, store } from './store.js';
import { t } from './text.js';

/** @typedef {import('./store.js').Picture} Picture */

/** @type {WeakMap<Element, Picture>} */
const pictures = new WeakMap();

/** @param {Picture} picture */
function makeThumb(picture) {
    const image = element('img', { alt: '', draggable: 'false', decoding: 'async' });
    image.addEventListener('error', () => image.replaceWith(icon('image')));
    image.src = picture.url;
    const thumb = element('button', { className: 'thumb', type: 'button', title: picture.name },
        image, element('span', { className: 'thumb-state' }));
    const remove = element('button', {
        className: 'thumb-remove', type: 'button',
        'aria-label': t('strip.remove', { name: picture.name }),
    }, icon('close'));
    const row = element('li', {}, thumb, remove);
    pictures.set(row, picture);
    return row;
}

/** Removes a picture from the page and from the browser's storage. @param {Picture} picture */
export function discard(picture) {
    removePicture(picture);
    void forget('pictures', picture.id);
    if (store.pictures.length === 0) {
        $('empty').querySelector('button')?.focus();
    }
}

function show() {
    const strip = $('strip');
    const rows = new Map([...strip.children].map((row) => [pictures.get(row), row]));
    const [first] = panes();
    for (const picture of store.pictures) {
        const row = /** @type {HTMLElement} */ (rows.get(picture) || makeThumb(picture));
        rows.delete(picture);
        const status = answerOf(picture, first)?.status ?? 'waiting';
        row.dataset.status = status;
        /** @type {Element} */ (row.firstElementChild).setAttribute('aria-label',
            status === 'done' ? picture.name
                : t('strip.status', { name: picture.name, status: t(`status.${status}`) }));
        if (picture.id === state.picture) {
            row.setAttribute('aria-current', 'true');
        } else {
            row.removeAttribute('aria-current');
        }
        if (!row.parentNode) {
            strip.append(row);
        }
    }
    for (const row of rows.values()) {
        row.remove();
    }
}

function showCurrent() {
    show();
    $('strip').querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

export function startStrip() {
    $('strip').addEventListener('click', (event) => {
        const target = /** @type {HTMLElement} */ (event.target);
        const row = target.closest('li');
        const picture = row && pictures.get(row);
        if (picture && target.closest('.thumb-remove')) {
            discard(picture);
            const current = $('strip').querySelector('[aria-current] .thumb');
            /** @type {HTMLElement | null} */ (current)?.focus();
        } else if (picture) {
            selectPicture(picture);
        }
    });
    subscribe(['picture', 'pictures'], showCurrent);
    subscribe(['answers', 'model', 'map', 'language'], show);
    show();
}
