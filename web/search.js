/* Looking for a class whatever the network ranks first: a field with suggestions (the combobox of
 * ARIA), which has the stage show the class that is chosen. */

import { answerOf, classText, panes } from './answers.js';
import { $, buttonOf, element, inputOf, readable } from './dom.js';
import { bestMatches, plain } from './fuzzy.js';
import { change, state, subscribe } from './state.js';
import { currentPicture, modelNamed } from './store.js';
import { t } from './text.js';

const SUGGESTED = 8;

/** @type {number[]} classes that are suggested */
let suggested = [];
let active = -1;
/** What the note says until something else happens. */
let refusal = '';

function close() {
    suggested = [];
    active = -1;
    showSuggestions();
}

function showSuggestions() {
    const { classes } = modelNamed(state.model);
    const field = inputOf('other-class');
    const list = $('class-options');
    list.hidden = suggested.length === 0;
    list.replaceChildren(...suggested.map((id, index) => element('li', {
        role: 'option', id: `class-option-${index}`, 'data-class': String(id),
        'aria-selected': String(index === active), text: readable(classes[id]),
    })));
    field.setAttribute('aria-expanded', String(suggested.length > 0));
    if (active >= 0) {
        field.setAttribute('aria-activedescendant', `class-option-${active}`);
        list.children[active].scrollIntoView({ block: 'nearest' });
    } else {
        field.removeAttribute('aria-activedescendant');
    }
}

function suggest() {
    const { classes } = modelNamed(state.model);
    refusal = '';
    suggested = bestMatches(inputOf('other-class').value, classes, SUGGESTED);
    active = -1;
    showSuggestions();
    showNote();
}

/** @param {number} id */
function take(id) {
    const model = modelNamed(state.model);
    inputOf('other-class').value = '';
    close();
    refusal = '';
    change({ class: classText(model, { label: model.classes[id], class_id: id }) });
    showNote();
}

/** @param {Event} event */
function submit(event) {
    event.preventDefault();
    const field = inputOf('other-class');
    const { classes } = modelNamed(state.model);
    const wanted = field.value.trim();
    if (active >= 0) {
        take(suggested[active]);
        return;
    }
    const exact = classes.findIndex((label) => plain(label) === plain(wanted));
    const [best] = exact >= 0 ? [exact] : bestMatches(wanted, classes, 1);
    if (best !== undefined) {
        take(best);
    } else if (classes.length === 0) {
        field.value = '';
        change({ class: wanted });
    } else {
        refusal = t('search.none', { text: wanted });
        close();
        showNote();
    }
}

/** @param {KeyboardEvent} event */
function onKey(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (steps) {
        event.preventDefault();
        if (suggested.length === 0) {
            suggest();
        }
        const count = suggested.length + 1;
        active = (active + 1 + steps + count) % count - 1;
        showSuggestions();
    } else if (event.key === 'Escape' && (suggested.length > 0 || refusal)) {
        event.preventDefault();
        refusal = '';
        close();
        showNote();
    }
}

/** What is being asked for, or what came of it. */
function showNote() {
    const picture = currentPicture();
    const [pane] = panes();
    const answer = picture && answerOf(picture, pane);
    const extra = pane.class === null ? undefined : answer?.extra.get(pane.class);
    const busy = extra?.status === 'busy';
    const problem = extra?.status === 'error' ? extra.problem : null;
    $('other').setAttribute('aria-busy', String(busy));
    buttonOf('other-find').classList.toggle('busy-button', busy);
    $('other-note').textContent = refusal || (busy ? t('search.busy', { label: readable(String(pane.class)) })
        : problem ? problem.detail || problem.message : '');
}

export function startSearch() {
    const field = inputOf('other-class');
    $('other').addEventListener('submit', submit);
    field.addEventListener('input', suggest);
    field.addEventListener('keydown', onKey);
    field.addEventListener('blur', () => close());
    /* Before the field loses the focus, which would take the list away. */
    $('class-options').addEventListener('pointerdown', (event) => {
        const option = /** @type {HTMLElement} */ (event.target).closest('li');
        if (option) {
            event.preventDefault();
            take(Number(option.dataset.class));
        }
    });
    subscribe(['picture', 'model'], () => {
        refusal = '';
        close();
    });
    subscribe(['picture', 'class', 'model', 'answers'], showNote);
}
