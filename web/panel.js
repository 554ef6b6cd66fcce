/* The result beside the stage: the best classes, the boxes, the times, what went wrong. */

import { answerOf, classText, hardlySeen, panes, predictionsOf, shownOf } from './answers.js';
import { $, announce, element, milliseconds, percent, readable } from './dom.js';
import { isBusy, retry, sizesOf } from './queue.js';
import { change, state, subscribe } from './state.js';
import { currentPicture, modelNamed, store } from './store.js';
import { t } from './text.js';

/**
 * @typedef {import('./answers.js').Shown} Shown
 * @typedef {import('./store.js').Answer} Answer
 * @typedef {import('./store.js').Picture} Picture
 * @typedef {import('./store.js').Prediction} Prediction
 */

const SHOWN_BOXES = 6;
const LARGE_BODY_BYTES = 16 * 1024 * 1024;

/** The predictions that the list shows. @param {Picture} picture */
function listed(picture) {
    return predictionsOf(answerOf(picture, panes()[0]));
}

/** Shows the class of a row of the list. @param {number} index */
export function chooseClass(index) {
    const picture = currentPicture();
    const prediction = picture && listed(picture)[index];
    if (prediction) {
        change({ class: index === 0 ? null : classText(modelNamed(state.model), prediction) });
        announce(t('announce.class', {
            label: readable(prediction.label), score: percent(prediction.score),
        }));
    }
}

/** @param {Prediction} prediction @param {number} index @param {boolean} chosen */
function classRow(prediction, index, chosen) {
    const bar = element('span', { className: 'bar-fill' });
    bar.style.setProperty('--share', String(prediction.score));
    const button = element('button', {
        className: 'class', type: 'button', 'aria-pressed': String(chosen),
    },
    element('span', { className: 'rank', text: String(index + 1), 'aria-hidden': 'true' }),
    element('span', { className: 'class-name', text: readable(prediction.label) }),
    element('span', { className: 'class-score', text: percent(prediction.score) }),
    element('span', { className: 'bar-track' }, bar));
    return element('li', {}, button);
}

/** What the list of classes and the times show, so that a step of the threshold leaves them. */
let listShown = '';

/** @param {Picture} picture @param {Shown} shown */
function showClasses(picture, { answer, prediction }) {
    const list = $('classes');
    const predictions = listed(picture);
    const key = JSON.stringify([picture.id, answer?.status, answer?.result?.request_id, store.models.length,
        document.documentElement.lang, prediction?.class_id,
        predictions.map(({ class_id: id, score }) => [id, score])]);
    if (key === listShown) {
        return;
    }
    listShown = key;
    showTiming(answer);
    const focused = list.contains(document.activeElement);
    if (predictions.length > 0) {
        list.replaceChildren(...predictions.map((p, index) => classRow(p, index, p === prediction)));
        list.removeAttribute('aria-hidden');
    } else if (!list.querySelector('.skeleton')) {
        list.replaceChildren(...Array.from({ length: 5 }, () => element('li', { className: 'skeleton' })));
        list.setAttribute('aria-hidden', 'true');
    }
    if (focused) {
        const chosen = /** @type {HTMLElement | null} */ (list.querySelector('[aria-pressed=true]'));
        chosen?.focus();
    }
    $('result').hidden = answer?.status === 'error';
    const done = answer?.status === 'done';
    $('details').hidden = !done;
    $('other').hidden = !done;
}

/** @param {Shown} shown */
function showBoxes({ prediction, boxes }) {
    const rows = boxes.slice(0, SHOWN_BOXES).map(({ x0, y0, x1, y1, score, confidence }) =>
        element('li', {},
            element('span', { className: 'box-place', text: `${x0}, ${y0} – ${x1}, ${y1}` }),
            element('span', { className: 'box-size', text: `${x1 - x0 + 1} × ${y1 - y0 + 1}` }),
            element('span', { className: 'box-score',
                text: confidence === undefined ? score.toFixed(2) : percent(confidence) })));
    if (boxes.length > SHOWN_BOXES) {
        rows.push(element('li', { className: 'more',
            text: t('boxes.more', { count: boxes.length - SHOWN_BOXES }) }));
    } else if (boxes.length === 0) {
        rows.push(element('li', { className: 'more', text: t('boxes.none') }));
    }
    if (prediction && hardlySeen(prediction)) {
        rows.push(element('li', { className: 'more hardly',
            text: t('boxes.hardly', { label: readable(prediction.label) }) }));
    }
    $('boxes').replaceChildren(...rows);
    $('boxes-hint').textContent = t(boxes[0]?.confidence === undefined
        ? 'boxes.strength' : 'boxes.chance');
    $('boxes-title').textContent = t('boxes.title', { count: boxes.length });
}

/** Says if another file was sent than the one that is shown. */
function showSent() {
    const picture = currentPicture();
    const sendable = picture?.sendable;
    $('sent-note').hidden = !sendable?.why;
    if (picture && sendable?.why) {
        $('sent-note').textContent = [t(`sent.${sendable.why}`, { ...sizesOf(picture), ...sendable.sent }),
            sendable.why === 'format' ? '' : t('sent.original')].filter(Boolean).join(' ');
    }
}

/** @param {Answer | null} answer */
function showTiming(answer) {
    const { timing_ms: timing = {}, image, model } = answer?.result ?? {};
    const parts = ['decode', 'queue', 'inference', 'total']
        .filter((stage) => Number.isFinite(timing[stage]))
        .map((stage) => element('span', { className: stage },
            `${t(`timing.${stage}`)} `, element('b', { text: milliseconds(timing[stage]) })));
    if (image) {
        parts.push(element('span', { text: `${image.width} × ${image.height} px` }));
    }
    if (model && store.models.length > 1) {
        parts.push(element('span', { text: model }));
    }
    $('timing').replaceChildren(...parts);
    showSent();
}

/** The first problem of what the panes show, with the answer it belongs to. @param {Picture} picture */
function problemOf(picture) {
    for (const pane of panes()) {
        const answer = answerOf(picture, pane);
        if (answer?.status === 'error') {
            return answer.problem;
        }
    }
    return null;
}

/** @param {Picture} picture */
function showProblem(picture) {
    const problem = problemOf(picture);
    $('problem').hidden = !problem;
    if (problem) {
        const large = problem.status === 0 && picture.file.size > LARGE_BODY_BYTES;
        $('problem-title').textContent = problem.title || t('problem.unknown');
        $('problem-detail').textContent = (problem.detail || problem.message) + (large
            ? ` ${t('problem.large', { size: Math.round(picture.file.size / 1048576) })}` : '');
        $('problem-id').textContent = problem.requestId
            ? t('problem.request', { id: problem.requestId }) : '';
        $('retry').hidden = [401, 413, 415, 422].includes(problem.status) || !picture.type;
    }
    const answers = panes().map((pane) => answerOf(picture, pane));
    const note = answers.map((answer) => answer?.note).find(Boolean);
    const busy = isBusy(picture);
    $('busy').hidden = !busy;
    $('busy-text').textContent = note || (answers.some((answer) => answer?.status !== 'waiting')
        ? t('busy.analysing') : t('busy.waiting'));
    $('work').setAttribute('aria-busy', String(busy));
}

let shownFor = '';

/** Says the result once, when it is there. @param {Picture} picture @param {Shown} shown */
function announceResult(picture, { answer }) {
    const key = `${picture.id} ${state.model} ${answer?.status}`;
    if (key === shownFor || !answer || !['done', 'error'].includes(answer.status)) {
        return;
    }
    shownFor = key;
    const best = answer.result?.predictions[0];
    announce(answer.status === 'error' ? answer.problem.message
        : best ? t('announce.class', { label: readable(best.label), score: percent(best.score) })
            : t('announce.nothing'));
}

function show() {
    const picture = currentPicture();
    $('empty').hidden = picture !== null;
    $('work').hidden = picture === null;
    document.title = picture ? t('page.title', { name: picture.name }) : 'adl-server';
    if (!picture) {
        return;
    }
    $('picture-name').textContent = picture.name;
    const shown = shownOf(picture, panes()[0]);
    showClasses(picture, shown);
    showProblem(picture);
    if (shown.answer?.status === 'done') {
        showBoxes(shown);
    }
    announceResult(picture, shown);
}

let scheduled = false;

/** Several changes in one frame are shown once. */
function showSoon() {
    if (!scheduled) {
        scheduled = true;
        requestAnimationFrame(() => {
            scheduled = false;
            show();
        });
    }
}

export function startPanel() {
    $('classes').addEventListener('click', (event) => {
        const row = /** @type {HTMLElement} */ (event.target).closest('.class')?.parentElement;
        if (row?.parentElement) {
            chooseClass([...row.parentElement.children].indexOf(row));
        }
    });
    $('retry').addEventListener('click', () => retry(() => true, currentPicture()));
    /* The page itself changes at once, so that the focus can go there. */
    subscribe(['picture'], show);
    subscribe(['pictures', 'model', 'models', 'class', 'map', 'beside', 'threshold', 'boxes', 'answers',
        'language'], showSoon);
    show();
}
