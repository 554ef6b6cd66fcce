/* The filmstrip: all pictures in a row, with what was found under each. Only the places in view have
 * elements, so hundreds of pictures are no burden; which they are, and in which order, is decided in
 * order.js. Small pictures are drawn one at a time, in the order in which they come into view. */

import { answerOf, panes } from './answers.js';
import { bind } from './bindings.js';
import { $, announce, buttonOf, contextOf, element, icon, percent, readable, selectOf, showChoices } from './dom.js';
import { forget } from './keep.js';
import { labelCounts, nextOpen, noFilter, ordered, placesInView } from './order.js';
import { drawable } from './prepare.js';
import { forgetBoxes, verdictOf } from './review.js';
import { change, state, subscribe, touch } from './state.js';
import { currentPicture, removePicture, selectPicture, setOrder, store } from './store.js';
import { t } from './text.js';

/** @typedef {import('./store.js').Picture} Picture */
/** @typedef {import('./order.js').Entry} Entry */

/* A place and the gap to the next, in CSS pixels; style.css has the same. */
const PITCH = 104;
const MORE = 3; /* places beyond each end of what is in view */
const THUMB_PX = 192; /* the longer side of a small picture */
const KEPT_THUMBS = 400;

/** @type {WeakMap<Element, Picture>} */
const pictures = new WeakMap();
/** @type {Picture[]} as shown: filtered and in order */
let shown = [];

/* --- what is shown ---------------------------------------------------------------- */

/** What the strip knows about a picture. @param {Picture} picture @returns {Entry} */
function entryOf(picture) {
    const answer = answerOf(picture, panes()[0]);
    const best = answer?.result?.predictions?.[0];
    return {
        name: picture.name, label: best?.label ?? null, score: best?.score ?? NaN,
        sure: best ? best.score * (best.boxes[0]?.confidence ?? 1) : NaN, verdict: verdictOf(picture),
    };
}

/** The pictures as the strip shows them. */
export const shownPictures = () => shown;

/** The next picture that nobody has looked at, in the order of the strip; null if there is none. */
export function followingOpen() {
    const at = shown.findIndex((picture) => picture.id === state.picture);
    const found = nextOpen(shown.map(verdictOf), at);
    return found < 0 ? null : shown[found];
}

function sortPictures() {
    const entries = store.pictures.map(entryOf);
    /* While a person goes through them, an answer to one does not move it away from under them: what
     * the filter would drop now stays as long as it is the current picture. */
    const at = store.pictures.findIndex((picture) => picture.id === state.picture);
    const order = ordered(entries, state.filter);
    if (at >= 0 && !order.includes(at)) {
        const before = shown.findIndex((picture) => picture.id === state.picture);
        order.splice(before < 0 ? order.length : Math.min(before, order.length), 0, at);
    }
    shown = order.map((index) => store.pictures[index]);
    setOrder(shown);
    return entries;
}

/* --- small pictures ------------------------------------------------------------------ */

/** @type {Map<Picture, HTMLCanvasElement | null>} null: cannot be shown; the latest is at the end */
const thumbs = new Map();
/** @type {Set<Picture>} */
const wantedThumbs = new Set();
let drawing = false;

/** @param {Picture} picture */
async function drawThumb(picture) {
    try {
        const { source, size, close } = await drawable(picture.file);
        const scale = Math.min(1, THUMB_PX / Math.min(size.width, size.height));
        const canvas = element('canvas');
        canvas.width = Math.max(Math.min(Math.round(size.width * scale), THUMB_PX * 2), 1);
        canvas.height = Math.max(Math.min(Math.round(size.height * scale), THUMB_PX * 2), 1);
        const context = contextOf(canvas);
        context.imageSmoothingQuality = 'medium';
        context.drawImage(source, 0, 0, canvas.width, canvas.height);
        close();
        thumbs.set(picture, canvas);
    } catch {
        thumbs.set(picture, null);
    }
    for (const old of thumbs.keys()) {
        if (thumbs.size <= KEPT_THUMBS) {
            break;
        }
        thumbs.delete(old);
    }
}

/** Draws what is in view and not drawn yet, one after the other. */
async function drawThumbs() {
    if (drawing) {
        return;
    }
    drawing = true;
    for (;;) {
        const [picture] = wantedThumbs;
        if (!picture) {
            break;
        }
        wantedThumbs.delete(picture);
        if (!thumbs.has(picture) && store.pictures.includes(picture)) {
            await drawThumb(picture);
            placeThumb(picture);
        }
    }
    drawing = false;
}

/** Puts the small picture into its place, if that is in view. @param {Picture} picture */
function placeThumb(picture) {
    const row = [...$('strip').children].find((each) => pictures.get(each) === picture);
    const frame = row?.querySelector('.thumb-frame');
    if (frame && thumbs.has(picture)) {
        frame.replaceChildren(thumbs.get(picture) ?? icon('image'));
    }
}

/* --- places ------------------------------------------------------------------------------ */

/** @param {Picture} picture */
function makeRow(picture) {
    const thumb = element('button', { className: 'thumb', type: 'button' },
        element('span', { className: 'thumb-frame' }),
        element('span', { className: 'thumb-state' }),
        element('span', { className: 'thumb-label', 'aria-hidden': 'true' }),
        element('span', { className: 'thumb-score', 'aria-hidden': 'true' }),
        element('span', { className: 'visually-hidden' }));
    const remove = element('button', { className: 'thumb-remove', type: 'button', tabindex: '-1' },
        icon('close'));
    const row = element('li', {}, thumb, remove);
    pictures.set(row, picture);
    return row;
}

/** @param {HTMLElement} row @param {Picture} picture @param {number} place */
function fillRow(row, picture, place) {
    const status = answerOf(picture, panes()[0])?.status ?? 'waiting';
    const { label, score, verdict } = entryOf(picture);
    const [thumb, remove] = /** @type {HTMLElement[]} */ ([...row.children]);
    const words = [picture.name,
        label === null ? t(`status.${status === 'done' ? 'waiting' : status}`)
            : t('announce.class', { label: readable(label), score: percent(score) }),
        verdict ? t(`verdict.${verdict}`) : ''].filter(Boolean);
    row.style.left = `${place * PITCH}px`;
    row.dataset.status = status;
    row.dataset.verdict = verdict;
    row.setAttribute('aria-setsize', String(shown.length));
    row.setAttribute('aria-posinset', String(place + 1));
    thumb.title = picture.name;
    thumb.tabIndex = picture.id === state.picture ? 0 : -1;
    remove.setAttribute('aria-label', t('strip.remove', { name: picture.name }));
    const [, , labelNode, scoreNode, said] = thumb.children;
    said.textContent = words.join(', ');
    labelNode.textContent = label === null ? '' : readable(label);
    scoreNode.textContent = label === null ? '' : percent(score);
    if (picture.id === state.picture) {
        row.setAttribute('aria-current', 'true');
    } else {
        row.removeAttribute('aria-current');
    }
}

/** Makes the elements of the places in view, and of the current one, which may have the focus. */
function showPlaces() {
    const scroller = $('strip-scroll');
    const strip = $('strip');
    strip.style.width = `${Math.max(shown.length * PITCH, 0)}px`;
    const { first, end } = placesInView(shown.length, PITCH, scroller.scrollLeft,
        scroller.clientWidth || 1, MORE);
    const wanted = new Map(shown.slice(first, end).map((picture, i) => [picture, first + i]));
    const current = currentPicture();
    if (current && shown.includes(current)) {
        wanted.set(current, shown.indexOf(current));
    }
    const rows = new Map([...strip.children].map((row) => [pictures.get(row), row]));
    const focused = document.activeElement?.closest('#strip > li');
    let hadFocus = false;
    for (const [picture, row] of rows) {
        if (!picture || !wanted.has(picture)) {
            hadFocus ||= row === focused;
            row.remove();
            rows.delete(picture);
        }
    }
    wantedThumbs.clear();
    let next = strip.firstElementChild;
    for (const [picture, place] of [...wanted].sort((a, b) => a[1] - b[1])) {
        let row = /** @type {HTMLElement | undefined} */ (rows.get(picture));
        if (!row) {
            row = makeRow(picture);
            rows.set(picture, row);
        }
        fillRow(row, picture, place);
        /* In the order of the places, so that a screen reader and the Tab key go along them. */
        if (row === next) {
            next = row.nextElementSibling;
        } else {
            const fresh = !row.parentNode;
            hadFocus ||= row === focused;
            strip.insertBefore(row, next);
            if (fresh) {
                placeThumb(picture);
            }
        }
        if (!thumbs.has(picture)) {
            wantedThumbs.add(picture);
        }
    }
    if (hadFocus) {
        focusCurrent();
    }
    void drawThumbs();
}

function focusCurrent() {
    const current = /** @type {HTMLElement | null} */ (
        $('strip').querySelector('[aria-current] .thumb'));
    (current ?? $('stage')).focus({ preventScroll: true });
}

/** Brings the current picture into view. */
function showCurrent() {
    const place = shown.findIndex((picture) => picture.id === state.picture);
    const scroller = $('strip-scroll');
    const { scrollLeft, clientWidth } = scroller;
    if (place >= 0 && (place * PITCH < scrollLeft || (place + 1) * PITCH > scrollLeft + clientWidth)) {
        scroller.scrollLeft = place * PITCH - (clientWidth - PITCH) / 2;
    }
}

/* --- the bar above the strip ---------------------------------------------------------- */

/** @param {Entry[]} entries */
function showBar(entries) {
    const count = entries.length;
    const answered = store.pictures.filter((picture) =>
        ['done', 'error'].includes(answerOf(picture, panes()[0])?.status ?? '')).length;
    const busy = answered < count;
    showChoices(selectOf('filter-label'), [['', t('filter.label.all')],
        ...labelCounts(entries).map(([label, n]) => /** @type {[string, string]} */ (
            [label, t('filter.label.one', { label: readable(label), count: n })]))], state.filter.label);
    showChoices(selectOf('filter-score'), ['', 'low', 'middle', 'high'].map((name) =>
        [name, t(`filter.score.${name || 'all'}`)]), state.filter.score);
    showChoices(selectOf('filter-seen'), ['', 'open', 'done'].map((name) =>
        [name, t(`filter.seen.${name || 'all'}`)]), state.filter.seen);
    showChoices(selectOf('filter-sort'), ['', 'certain', 'name'].map((name) =>
        [name, t(`filter.sort.${name || 'none'}`)]), state.filter.sort);
    $('strip-count').textContent = store.reading ? t('strip.reading', { count })
        : busy ? t('strip.progress', { done: answered, count })
            : shown.length < count ? t('strip.shown', { shown: shown.length, count })
                : t('strip.count', { count });
    const progress = /** @type {HTMLProgressElement} */ ($('strip-progress'));
    progress.hidden = !busy;
    progress.max = Math.max(count, 1);
    progress.value = answered;
    $('strip-stop').hidden = !busy && !store.reading;
    $('strip-stop').textContent = t(state.paused ? 'strip.resume' : 'strip.stop');
}

function show() {
    const entries = sortPictures();
    showBar(entries);
    showPlaces();
}

/* --- removing --------------------------------------------------------------------------- */

/** Removes a picture from the page and from the browser's storage. @param {Picture} picture */
export function discard(picture) {
    removePicture(picture);
    thumbs.delete(picture);
    wantedThumbs.delete(picture);
    forgetBoxes(picture);
    void forget('pictures', picture.id);
    announce(t('strip.removed', { name: picture.name }));
    if (store.pictures.length === 0) {
        $('empty').querySelector('button')?.focus();
    }
}

function discardCurrent() {
    const picture = currentPicture();
    const inStrip = $('strip').contains(document.activeElement);
    if (!picture || (state.correct && !inStrip)) {
        return false;
    }
    discard(picture);
    if (inStrip && store.pictures.length > 0) {
        focusCurrent();
    }
    return true;
}

/* --- events ------------------------------------------------------------------------------- */

/** @param {Event} event */
function onFilter({ target }) {
    const { id, value } = /** @type {HTMLSelectElement} */ (target);
    change({ filter: { ...state.filter, [id.replace('filter-', '')]: value } });
    showCurrent();
}

export function startStrip() {
    $('strip').addEventListener('click', (event) => {
        const target = /** @type {HTMLElement} */ (event.target);
        const row = target.closest('li');
        const picture = row && pictures.get(row);
        if (picture && target.closest('.thumb-remove')) {
            discard(picture);
            if (store.pictures.length > 0) {
                focusCurrent();
            }
        } else if (picture) {
            selectPicture(picture);
        }
    });
    for (const id of ['filter-label', 'filter-score', 'filter-seen', 'filter-sort']) {
        selectOf(id).addEventListener('change', onFilter);
    }
    buttonOf('strip-stop').addEventListener('click', () => {
        if (store.reading) {
            store.reading.abort();
        }
        change({ paused: !state.paused });
    });
    bind({ keys: ['Delete'], text: 'key.discard', act: discardCurrent });
    let scheduled = false;
    const soon = () => {
        if (!scheduled) {
            scheduled = true;
            requestAnimationFrame(() => {
                scheduled = false;
                show();
            });
        }
    };
    $('strip-scroll').addEventListener('scroll', soon, { passive: true });
    new ResizeObserver(soon).observe($('strip-scroll'));
    /* The order decides at once which picture comes next. */
    subscribe(['picture', 'filter'], () => {
        show();
        showCurrent();
        if ($('strip').contains(document.activeElement)) {
            focusCurrent();
        }
    });
    subscribe(['pictures', 'answers', 'model', 'map', 'language', 'drawn', 'paused', 'reading'], soon);
    show();
}

/** Shows everything again. */
export const clearFilter = () => {
    change({ filter: noFilter() });
    touch('pictures');
};
