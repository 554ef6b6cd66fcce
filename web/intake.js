/* How pictures come in: chosen, dropped, pasted, from the examples, kept from before a reload. */

import * as api from './api.js';
import { $, announce, inputOf } from './dom.js';
import { chosenFiles, readDrop } from './folders.js';
import { kept } from './keep.js';
import { change, state, subscribe, touch } from './state.js';
import { addPicture, currentPicture, idOf, selectPicture, store } from './store.js';
import { t } from './text.js';
import { beginVisit, forgetOld, keepPicture, picturesOfVisit } from './visits.js';

/** The paths of the pictures that the server has. */
const EXAMPLE = /^examples\/[a-z_]+\.jpg$/;

/** Adds one file, and shows it if it is the first. @param {{file: File, name: string}} found
 * @param {boolean} first */
async function addFile({ file, name }, first) {
    const id = await idOf(file);
    const picture = addPicture({ id, file, name: name || t('picture.pasted') });
    void keepPicture({ id, name: picture.name, file });
    if (first) {
        /* A view that waited for this picture stays as the address says. */
        if (waitedFor === id) {
            change({ picture: id });
        } else {
            selectPicture(picture);
        }
        waitedFor = null;
        moveFocus();
    }
}

/**
 * Adds pictures as they are found and shows the first of them. A person can end this, and keeps what
 * is there.
 * @param {(tell: (found: {file: File, name: string}) => void, signal: AbortSignal) =>
 *     Promise<void> | void} find
 */
async function addFound(find) {
    const reading = new AbortController();
    store.reading = reading;
    /** @type {{file: File, name: string}[]} */
    const found = [];
    let finding = true;
    let count = 0;
    let unread = 0;
    /** @type {() => void} */
    let wake = () => {};
    touch('reading');
    const search = Promise.resolve(find((one) => {
        found.push(one);
        wake();
    }, reading.signal)).finally(() => {
        finding = false;
        wake();
    });
    while (!reading.signal.aborted) {
        const next = found.shift();
        if (next) {
            try {
                await addFile(next, count === 0);
                count++;
            } catch {
                /* It was moved, or may not be read; the others can be. */
                unread++;
            }
        } else if (finding) {
            await new Promise((/** @type {(v: void) => void} */ resolve) => { wake = resolve; });
        } else {
            break;
        }
    }
    await search;
    if (store.reading === reading) {
        store.reading = null;
    }
    touch('reading');
    void forgetOld(state.picture);
    if (unread > 0) {
        announce(t('strip.unreadable', { count: unread }));
    } else if (count === 0 && !reading.signal.aborted) {
        announce(t('strip.unread', { count }));
    }
}

/**
 * Adds files and shows the first of them.
 * @param {Iterable<File>} files @param {boolean} [folder]
 */
export const addFiles = (files, folder = false) =>
    addFound((tell) => chosenFiles(files, folder).forEach(tell));

/** The button that was pressed may be gone with the empty page; the focus goes to the stage. */
function moveFocus() {
    const focused = document.activeElement;
    if (!focused || focused === document.body || $('empty').contains(focused)) {
        $('stage').focus({ preventScroll: true });
    }
}

/** @param {string} path @returns {Promise<import('./store.js').Picture>} */
async function served(path) {
    const file = await api.fetchExample(path);
    return addPicture({ id: path, file, name: path.replace('examples/', ''), served: true });
}

/** @param {string} path */
async function addExample(path) {
    try {
        const picture = await served(path);
        void keepPicture({ id: path, name: picture.name });
        selectPicture(picture);
        moveFocus();
    } catch (problem) {
        announce(/** @type {Error} */ (problem).message);
    }
}

/** Shows those of the example drawings whose class a model has. */
function offerExamples() {
    /** @type {NodeListOf<HTMLElement>} */
    const buttons = document.querySelectorAll('[data-example]');
    let offered = 0;
    for (const button of buttons) {
        const known = store.models.some(({ classes }) =>
            classes.includes(button.dataset.example ?? ''));
        /** @type {HTMLElement} */ (button.parentElement).hidden = !known;
        offered += Number(known);
    }
    $('examples').hidden = offered === 0;
}

/** @type {string | null} the id of a picture that an address names and nobody has */
let waitedFor = null;

/** Brings back the pictures of before a reload, where the address names one of them. */
export async function restore() {
    const id = state.picture;
    const example = id !== null && EXAMPLE.test(id);
    if (!id || !(example || await kept('pictures', id))) {
        beginVisit();
        if (id) {
            waitedFor = id;
            $('missing').hidden = false;
            change({ picture: null });
        }
        return;
    }
    const all = await picturesOfVisit(id);
    for (const { id: each, file, name } of all.some((one) => one.id === id) ? all
        : [...all, { id, file: undefined, name: '' }]) {
        if (file) {
            addPicture({ id: each, file, name });
        } else {
            /* What cannot be had of the server is left out. */
            await served(each).catch(() => null);
        }
    }
    if (!currentPicture()) {
        change({ picture: store.pictures[0]?.id ?? null });
    }
    $('missing').hidden = true;
    void forgetOld(id);
}

function listenForDrops() {
    let depth = 0; /* number of nested elements that the drag has entered */
    const carriesFiles = (/** @type {DragEvent} */ event) =>
        event.dataTransfer?.types.includes('Files');
    const hint = (/** @type {boolean} */ shown) => {
        $('drop-hint').hidden = !shown;
    };
    window.addEventListener('dragenter', (event) => {
        if (carriesFiles(event)) {
            depth++;
            hint(true);
        }
    });
    window.addEventListener('dragleave', (event) => {
        if (carriesFiles(event) && --depth <= 0) {
            depth = 0;
            hint(false);
        }
    });
    window.addEventListener('dragover', (event) => {
        if (carriesFiles(event)) {
            event.preventDefault();
        }
    });
    window.addEventListener('drop', (event) => {
        if (event.dataTransfer && carriesFiles(event)) {
            event.preventDefault();
            depth = 0;
            hint(false);
            const { dataTransfer } = event;
            void addFound((tell, signal) => readDrop(dataTransfer, tell, signal));
        }
    });
    window.addEventListener('paste', (event) => {
        if (event.clipboardData && event.clipboardData.files.length > 0) {
            event.preventDefault();
            void addFiles(event.clipboardData.files);
        }
    });
}

export function startIntake() {
    /** @type {NodeListOf<HTMLElement>} */
    const pickers = document.querySelectorAll('[data-pick]');
    for (const button of pickers) {
        button.addEventListener('click', () => $(button.dataset.pick ?? '').click());
    }
    /** @type {NodeListOf<HTMLElement>} */
    const examples = document.querySelectorAll('[data-example]');
    for (const button of examples) {
        button.addEventListener('click', () => addExample(`examples/${button.dataset.example}.jpg`));
    }
    for (const input of [inputOf('files'), inputOf('camera'), inputOf('folder')]) {
        input.addEventListener('change', () => {
            void addFiles([...input.files ?? []], input.id === 'folder');
            input.value = '';
        });
    }
    listenForDrops();
    subscribe(['models'], offerExamples);
}
