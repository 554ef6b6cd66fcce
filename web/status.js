/* The server: whether it is there, its models, the token that it asks for. */

import * as api from './api.js';
import { $, inputOf, selectOf, showChoices } from './dom.js';
import { retry } from './queue.js';
import { change, ownMapChanges, state, subscribe, touch } from './state.js';
import { modelNamed, store } from './store.js';
import { t } from './text.js';

const DELAY_MS = { ready: 20000, loading: 1500, away: 3000 };

async function watchHealth() {
    const health = await api.health();
    const before = store.health;
    if (health !== before) {
        store.health = health;
        touch('health');
        if (health === 'ready') {
            await loadModels();
            retry((problem) => problem.status === 0 && before === 'away');
        }
    }
    setTimeout(watchHealth, DELAY_MS[health]);
}

async function loadModels() {
    try {
        const { models, limits, annotations } = await api.models(store.token);
        store.models = models;
        store.limits = limits ?? store.limits;
        store.annotations = annotations;
    } catch (problem) {
        if (/** @type {api.Problem} */ (problem).status === 401) {
            touch('token');
        }
        return;
    }
    touch('models');
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
    store.token = inputOf('token').value.trim();
    inputOf('token').value = '';
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
    showHealth();
    void watchHealth();
}
