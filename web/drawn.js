/* The list of the boxes on a picture beside the stage, with their labels, and how far a person is
 * through all pictures. */

import { panes } from './answers.js';
import { deleteBox, labelBox, selectBox, selectedBox } from './correct.js';
import { $, buttonOf, element, icon, inputOf, percent, readable } from './dom.js';
import * as review from './review.js';
import { bestMatches } from './fuzzy.js';
import { state, subscribe } from './state.js';
import { currentPicture, modelNamed, store } from './store.js';
import { t } from './text.js';

/** @typedef {import('./exports.js').LabelledBox} LabelledBox */

const SHOWN_MATCHES = 8;
const LABEL_LETTERS = 200;

/** @param {LabelledBox} box @param {number} index @param {boolean} chosen */
function row(box, index, chosen) {
    const picture = currentPicture();
    const agreement = picture && review.agreement(picture, box);
    const choose = element('button', {
        className: 'drawn-box', type: 'button', 'aria-pressed': String(chosen),
        'data-index': String(index),
    },
    element('span', { className: 'drawn-label', text: readable(box.label) }),
    element('span', { className: 'drawn-size', text: `${box.x1 - box.x0 + 1} × ${box.y1 - box.y0 + 1}` }),
    element('span', { className: 'drawn-iou', text: box.score !== undefined ? percent(box.score)
        : agreement === null ? '' : t('review.iou', { value: percent(agreement) }) }));
    const remove = element('button', {
        className: 'drawn-delete', type: 'button', 'data-delete': String(index),
        'aria-label': t('review.delete', { label: readable(box.label), number: index + 1 }),
    }, icon('close'));
    return element('li', {}, choose, remove);
}

function showList() {
    const picture = currentPicture();
    const list = $('drawn');
    const all = picture ? review.boxesOn(picture) : [];
    const chosen = selectedBox()?.index ?? -1;
    const focused = /** @type {HTMLElement | null} */ (list.contains(document.activeElement)
        ? document.activeElement : null);
    const which = focused?.dataset.index ?? focused?.dataset.delete;
    list.replaceChildren(...all.map((box, index) => row(box, index, index === chosen)));
    $('drawn-none').hidden = all.length > 0;
    if (focused) {
        const buttons = [...list.querySelectorAll('.drawn-box')];
        const again = /** @type {HTMLElement | undefined} */ (buttons[Math.min(Number(which),
            buttons.length - 1)]);
        (again ?? $('correct')).focus();
    }
}

function showVerdict() {
    const picture = currentPicture();
    const verdict = picture ? review.verdictOf(picture) : '';
    $('review-verdict').textContent = t(`verdict.${verdict || 'open'}`);
    $('review-verdict').dataset.verdict = verdict;
    $('review-count').textContent = t('review.count', {
        done: review.reviewed().length, count: store.pictures.length,
    });
    $('review-body').hidden = !state.correct;
    buttonOf('box-label-set').disabled = !selectedBox();
    inputOf('box-label').disabled = !selectedBox();
}

/* --- labels -------------------------------------------------------------------------- */

/** A text as a label that the server takes: no control characters, no space at its ends, not too long.
 * @param {string} text */
const plainLabel = (text) => [...text.replaceAll(/[\u0000-\u001f\u007f]/g, ' ').trim()]
    .slice(0, LABEL_LETTERS).join('').trim();

/** Labels for a text: the classes that resemble it, and the text itself as a class of its own.
 * @param {string} text @returns {string[]} */
function labelsFor(text) {
    const picture = currentPicture();
    const { classes } = modelNamed(panes()[0].model);
    if (text === '') {
        return picture ? review.suggestions(picture) : [];
    }
    const found = bestMatches(text, classes.map(readable), SHOWN_MATCHES)
        .map((index) => classes[index]);
    const own = plainLabel(text);
    const known = found.some((label) => readable(label).toLowerCase() === own.toLowerCase());
    return known || own === '' ? found : [...found, own];
}

/** Shows the labels that fit what was typed; `at` is the one that Enter takes. @param {number} at */
function showMatches(at) {
    const labels = labelsFor(inputOf('box-label').value.trim());
    const open = labels.length > 0 && document.activeElement === $('box-label');
    $('box-labels').hidden = !open;
    $('box-label').setAttribute('aria-expanded', String(open));
    $('box-labels').replaceChildren(...labels.map((label, index) => element('li', {
        id: `box-label-${index}`, role: 'option', 'data-label': label,
        text: readable(label), 'aria-selected': String(index === at),
    })));
    if (open && at >= 0) {
        $('box-label').setAttribute('aria-activedescendant', `box-label-${at}`);
    } else {
        $('box-label').removeAttribute('aria-activedescendant');
    }
}

/** @returns {HTMLElement[]} */
const shownMatches = () => /** @type {HTMLElement[]} */ ([...$('box-labels').children]);

function chosenMatch() {
    return shownMatches().findIndex((node) => node.getAttribute('aria-selected') === 'true');
}

/** @param {string} label */
function take(label) {
    inputOf('box-label').value = '';
    showMatches(-1);
    if (label !== '') {
        labelBox(label);
    }
    $('stage').focus({ preventScroll: true });
    $('box-labels').hidden = true;
    $('box-label').setAttribute('aria-expanded', 'false');
}

/** @param {KeyboardEvent} event */
function onLabelKey(event) {
    const count = shownMatches().length;
    const at = chosenMatch();
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        if (count > 0) {
            showMatches((at + (event.key === 'ArrowDown' ? 1 : -1) + count) % count);
        }
    } else if (event.key === 'Enter') {
        event.preventDefault();
        const node = shownMatches()[Math.max(at, 0)];
        take(node?.dataset.label ?? '');
    } else if (event.key === 'Escape') {
        event.preventDefault();
        take('');
    }
}

function listenForLabels() {
    const input = inputOf('box-label');
    input.addEventListener('input', () => showMatches(0));
    input.addEventListener('focus', () => showMatches(-1));
    input.addEventListener('keydown', onLabelKey);
    input.addEventListener('blur', () => {
        $('box-labels').hidden = true;
        input.setAttribute('aria-expanded', 'false');
    });
    /* Before the field loses the focus, which would close the list. */
    $('box-labels').addEventListener('pointerdown', (event) => {
        event.preventDefault();
        const node = /** @type {HTMLElement} */ (event.target).closest('li');
        if (node) {
            take(node.dataset.label ?? '');
        }
    });
    $('box-label-form').addEventListener('submit', (event) => {
        event.preventDefault();
        take(labelsFor(input.value.trim())[0] ?? '');
    });
}

export function startDrawn() {
    $('drawn').addEventListener('click', (event) => {
        const button = /** @type {HTMLElement} */ (event.target).closest('button');
        const index = Number(button?.dataset.index ?? button?.dataset.delete);
        if (!button) {
            return;
        }
        selectBox(index);
        if (button.dataset.delete !== undefined) {
            deleteBox();
        }
    });
    listenForLabels();
    let scheduled = false;
    subscribe(['picture', 'pictures', 'drawn', 'selected', 'correct', 'threshold', 'class', 'boxes',
        'answers', 'model', 'language'], () => {
        if (!scheduled) {
            scheduled = true;
            requestAnimationFrame(() => {
                scheduled = false;
                showVerdict();
                if (state.correct) {
                    showList();
                }
            });
        }
    });
    showVerdict();
}
