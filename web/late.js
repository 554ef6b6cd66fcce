/* What nobody needs before the first picture comes late, in an answer of its own: the filmstrip,
 * correcting, comparing, searching, taking away, the card of the model (tools.js). It is fetched when a
 * person gives a first sign, such as a move of the pointer, and the browser has nothing else to do; with
 * the first picture it is fetched at once. What is clicked before it is there is done when it is. */

import { $ } from './dom.js';
import { subscribe } from './state.js';
import { store } from './store.js';

const SIGNS = ['pointermove', 'pointerdown', 'touchstart', 'keydown', 'focusin', 'dragenter'];

/** @type {Promise<boolean> | null} */
let coming = null;
let there = false;

export const toolsAreThere = () => there;

/** What the tools are for: the parts of the page that come at once. @type {Promise<void>} */
let begun = Promise.resolve();

async function fetchTools() {
    try {
        const [{ startTools }] = await Promise.all([import('./tools.js'), begun]);
        startTools();
    } catch {
        /* A server that was replaced has other parts; one that is away has none. */
        $('tools-missing').hidden = false;
        return false;
    }
    there = true;
    document.documentElement.dataset.late = 'there';
    return true;
}

/** Whether the tools came; fetches them if need be. */
export function tools() {
    coming ??= fetchTools();
    return coming;
}

/** Does with the tools what was done before they were there. @param {Event} event */
function hold(event) {
    const node = /** @type {Element} */ (event.target);
    if (there || !node.closest('[data-tools]')) {
        return;
    }
    /* A picture inside of a button cannot be clicked by a script. */
    const target = /** @type {HTMLElement} */ (node.closest('button, summary, label, input') ?? node);
    event.preventDefault();
    event.stopPropagation();
    void tools().then((came) => {
        if (came) {
            target.click();
        }
    });
}

/** @param {Promise<void>} parts resolves when the page's own parts have started */
export function startLate(parts) {
    begun = parts;
    const idle = window.requestIdleCallback ?? ((/** @type {() => void} */ run) => setTimeout(run, 200));
    const sign = () => {
        SIGNS.forEach((name) => window.removeEventListener(name, sign));
        idle(() => void tools());
    };
    SIGNS.forEach((name) => window.addEventListener(name, sign, { passive: true }));
    const end = subscribe(['pictures'], look);
    function look() {
        if (store.pictures.length > 0) {
            end();
            void tools();
        }
    }
    /* Pressing Enter in a field clicks its button. */
    window.addEventListener('click', hold, true);
    look();
}
