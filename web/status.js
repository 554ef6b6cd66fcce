/* The server: whether it is there, its models, the token that it asks for. */

import * as api from './api.js';
import { forgetReplaced } from './answers.js';
import { $, inputOf, selectOf, showChoices } from './dom.js';
import { retry } from './queue.js';
import { change, ownMapChanges, state, subscribe, touch } from './state.js';
import { modelNamed, store } from './store.js';
import { t } from './text.js';

/* With what api.health() waits, a server that goes away is noticed within two seconds, unless it is far. */
const DELAY_MS = 1000;
const HIDDEN_DELAY_MS = 10000; /* while nobody looks */
/* How often what was not answered is asked again after one absence: what ends the connection may be the
 * request itself. */
const MOST_RETRIES = 3;

/* How soon after one replaced model another is looked for. It is twice as long each time: instances with
 * different models behind one address would be asked about all pictures again and again. */
const FIRST_PAUSE_MS = 60000;

let retries = 0;
/** Whether the models were asked for in vain. */
let modelsMissing = false;

/** Whether a request found nobody to answer it. */
function anyUnanswered() {
    return store.pictures.some((picture) => [...picture.answers.values()].some((answer) =>
        [answer, ...answer.extra.values()].some((entry) =>
            entry.status === 'error' && entry.problem?.status === 0 && entry.problem.unanswered)));
}

async function watchHealth() {
    const health = await api.health();
    const before = store.health;
    if (health !== before) {
        store.health = health;
        touch('health');
        if (before !== 'ready') retries = 0;
    }
    if (health === 'ready' && (before !== 'ready' || modelsMissing)) {
        await loadModels();
    }
    if (health === 'ready' && retries < MOST_RETRIES && anyUnanswered()) {
        retries++;
        retry((problem) => problem.status === 0 && problem.unanswered);
    }
    setTimeout(watchHealth, document.hidden ? HIDDEN_DELAY_MS : DELAY_MS);
}

/** Leaves models that the server does not have (any more), which an address may name: for them there
 * are no answers. */
function leaveMissingModels() {
    const missing = (/** @type {string} */ name) => name !== '' && store.models.length > 0 &&
        !store.models.some((model) => model.name === name);
    if (missing(state.model)) {
        change({ model: '', class: null, map: ownMapChanges() });
    }
    if (state.beside && missing(state.beside.model)) {
        change({ beside: null, difference: false });
    }
}

async function loadModels() {
    try {
        const { models, limits, annotations, training } = await api.models(store.token);
        store.models = models;
        leaveMissingModels();
        forgetReplaced();
        store.limits = limits ?? store.limits;
        store.annotations = annotations;
        $('training-link').hidden = !training;
        modelsMissing = false;
    } catch (problem) {
        /* Without a token asking again is of no use. */
        modelsMissing = /** @type {api.Problem} */ (problem).status !== 401;
        if (!modelsMissing) {
            touch('token');
        }
        return;
    }
    touch('models');
}

let nextLook = 0;
let pauseMs = FIRST_PAUSE_MS;
let looking = false;

/** An answer came from another version of a model than the one that the page knows. */
function lookForModels() {
    if (!looking) {
        looking = true;
        setTimeout(() => {
            looking = false;
            nextLook = performance.now() + pauseMs;
            pauseMs *= 2;
            void loadModels();
        }, Math.max(nextLook - performance.now(), 0));
    }
}

function showHealth() {
    $('health').dataset.state = store.health;
    $('health-text').textContent = t(`health.${store.health}`);
}

function showModels() {
    showChoices(selectOf('model'), store.models.map(({ name }) => [name, name]),
        modelNamed(state.model).name);
    $('model-field').hidden = store.models.length < 2;
}

function askToken() {
    const shown = !$('token-form').hidden;
    $('token-form').hidden = false;
    $('token-wrong').hidden = !store.token;
    if (!shown || store.token) {
        inputOf('token').value = '';
        $('token').focus();
    }
}

/** @param {Event} event */
async function useToken(event) {
    event.preventDefault();
    const token = inputOf('token').value.trim();
    inputOf('token').value = '';
    if (!api.mayBeToken(token)) {
        $('token-wrong').hidden = false;
        return;
    }
    store.token = token;
    $('token-form').hidden = true;
    await loadModels();
    retry((problem) => problem.status === 401);
}

export function startStatus() {
    selectOf('model').addEventListener('change', ({ target }) => {
        /* Another model has another rule. */
        const model = /** @type {HTMLSelectElement} */ (target).value;
        change({ model, map: ownMapChanges() });
    });
    $('token-form').addEventListener('submit', useToken);
    subscribe(['health', 'language'], showHealth);
    subscribe(['models', 'model'], showModels);
    subscribe(['token'], askToken);
    subscribe(['replaced'], lookForModels);
    showHealth();
    void watchHealth();
}
