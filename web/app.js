/* The page: starts its parts. The state is in state.js, what is known in store.js; every part shows
 * both and changes the state, and none of them calls another to show something. */

import { queryOf, stateOf } from './address.js';
import { startControls } from './controls.js';
import { restore, startIntake } from './intake.js';
import { startKeys } from './keys.js';
import { startLanguages } from './languages.js';
import { startLate } from './late.js';
import { startPanel } from './panel.js';
import { startQueue } from './queue.js';
import { startStage } from './stage.js';
import { change, state, subscribe } from './state.js';
import { startStatus } from './status.js';
import { translatePage } from './text.js';

/* Browsers limit how often an address may be changed: Safari to a hundred times in half a minute. */
const ADDRESS_DELAY_MS = 350;

function keepAddress() {
    let timer = 0;
    let written = location.search.slice(1);
    subscribe(null, () => {
        /* Answers that come all the time do not put it off. */
        timer ||= window.setTimeout(() => {
            timer = 0;
            const query = queryOf(state);
            if (query !== written) {
                written = query;
                history.replaceState(null, '', query ? `?${query}` : location.pathname);
            }
        }, ADDRESS_DELAY_MS);
    });
}

/** Starts what shows pictures, once those of before a reload are back. */
async function startParts() {
    await restore();
    keepAddress();
    startPanel();
    startStage();
    startControls();
    startQueue();
}

function start() {
    translatePage();
    void startLanguages();
    change(stateOf(location.search));
    startIntake();
    startStatus();
    const begun = startParts();
    startKeys(begun);
    startLate(begun);
}

/* The empty page is painted before the scripts work, which takes longer than the painting. A page in
 * the background is not painted until somebody looks. */
if (document.hidden) {
    start();
} else {
    requestAnimationFrame(() => setTimeout(start));
}
