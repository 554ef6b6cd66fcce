/* What the page shows, in one object. Everything on the screen, the copied JSON, the curl command,
 * what is saved and the address bar are made from it, so they cannot disagree. It changes through
 * change() alone, which tells those who subscribed to what changed.
 *
 * `state` is what a person chose and what an address can carry (address.js). What the page knows
 * (pictures, models, answers, the server's health) is in store.js; its changes are told by touch()
 * under names of their own: 'pictures', 'models', 'answers', 'health', 'token', 'replaced'. */

import { noFilter } from './order.js';

/**
 * Changes of a model's map rule; null leaves the model's own (maps.js).
 * @typedef {{flip: boolean | null, scales: string | null, layer: string | null}} MapChanges
 */

/**
 * What one pane of the stage shows of the picture: a model ('' is the server's default), a class
 * (null: the best one; otherwise a label, or '#' and a number) and how the map is made.
 * @typedef {{model: string, class: string | null, map: MapChanges}} Pane
 */

/**
 * The part of the picture in view: `zoom` is a multiple of the size that fits, x and y (0 to 1) are
 * the place of the picture in the middle of the pane.
 * @typedef {{zoom: number, x: number, y: number}} View
 */

/**
 * @typedef {object} State
 * @property {string | null} picture id of the current picture
 * @property {string} model
 * @property {string | null} class
 * @property {MapChanges} map
 * @property {number | null} threshold null: the class's or the model's own
 * @property {'largest' | 'all' | 'objects'} boxes
 * @property {boolean} outline
 * @property {number} opacity of the heat, 0 to 1
 * @property {string} colours name of a colour map (colours.js)
 * @property {View | null} view null: the whole picture
 * @property {Pane | null} beside the second pane; its class null is that of the first
 * @property {boolean} difference the panes as one, one minus the other
 * @property {boolean} correct whether boxes can be drawn and changed
 * @property {import('./order.js').Filter} filter of the filmstrip
 * @property {boolean} paused whether only the current picture is asked about
 */

/** @returns {MapChanges} */
export const ownMapChanges = () => ({ flip: null, scales: null, layer: null });

/** @returns {State} */
export const initialState = () => ({
    picture: null,
    model: '',
    class: null,
    map: ownMapChanges(),
    threshold: null,
    boxes: 'largest',
    outline: true,
    opacity: 0.65,
    colours: 'inferno',
    view: null,
    beside: null,
    difference: false,
    correct: false,
    filter: noFilter(),
    paused: false,
});

/** @type {Readonly<State>} */
export const state = initialState();

/** @type {{keys: Set<string> | null, tell: (changed: Set<string>) => void}[]} */
const subscribers = [];

/** @param {unknown} a @param {unknown} b @returns {boolean} */
const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

/** @param {Set<string>} changed */
function notify(changed) {
    for (const { keys, tell } of [...subscribers]) {
        if (!keys || [...changed].some((key) => keys.has(key))) {
            tell(changed);
        }
    }
}

/**
 * Changes some members and tells the subscribers, once for all of them.
 * @param {Partial<State>} patch
 */
export function change(patch) {
    const changed = new Set();
    for (const [key, value] of Object.entries(patch)) {
        if (!same(/** @type {any} */ (state)[key], value)) {
            /** @type {any} */ (state)[key] = value;
            changed.add(key);
        }
    }
    if (changed.size > 0) {
        notify(changed);
    }
}

/**
 * Tells that something outside of `state` changed: 'pictures', 'models', 'answers' ...
 * @param {...string} names
 */
export function touch(...names) {
    notify(new Set(names));
}

/**
 * Calls `tell` with the names of what changed, if they are among `keys` (null: any).
 * @param {string[] | null} keys
 * @param {(changed: Set<string>) => void} tell
 * @returns {() => void} ends the subscription
 */
export function subscribe(keys, tell) {
    const entry = { keys: keys && new Set(keys), tell };
    subscribers.push(entry);
    return () => {
        subscribers.splice(subscribers.indexOf(entry), 1);
    };
}
