/* The keyboard: the keys of the page's main parts, and the help that lists all of them. */

import { bind, described, press } from './bindings.js';
import { stepThreshold } from './controls.js';
import { $, announce, element } from './dom.js';
import { tools, toolsAreThere } from './late.js';
import { chooseClass } from './panel.js';
import { cursorPoint, fit, inspect, isInspecting, pan, setCursor, zoomBy, zoomTo } from './stage.js';
import { change, state } from './state.js';
import { currentPicture, stepPicture } from './store.js';
import { t } from './text.js';

/** Whether a key belongs to what has the focus. @param {KeyboardEvent} event */
function isTaken({ target, key }) {
    const node = /** @type {HTMLElement} */ (target);
    if (!node.matches || node.closest('dialog')) {
        return true;
    }
    if (node.matches('input[type=radio]')) {
        return key.startsWith('Arrow');
    }
    if (node.matches('input[type=range]')) {
        return /^(Arrow|Home|End|Page)/.test(key);
    }
    return node.matches('input:not([type=checkbox]), select, textarea');
}

/** @param {KeyboardEvent} event */
function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTaken(event)) {
        return;
    }
    if (press(event)) {
        event.preventDefault();
    } else if (!toolsAreThere()) {
        void tools().then(() => press(event));
    }
}

/* CSS pixels that an arrow key moves the picture by; Shift makes it the finer or coarser one. */
const PAN = 80;

/** @param {KeyboardEvent} event */
function arrow(event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
        ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    const at = cursorPoint();
    if (isInspecting() && at) {
        const step = event.shiftKey ? 1 : 10;
        setCursor({ x: at.x + dx * step, y: at.y + dy * step });
        requestAnimationFrame(() => announce($('readout').textContent ?? ''));
        return true;
    }
    if (state.view && $('stage').contains(/** @type {Node} */ (event.target))) {
        pan(-dx * PAN, -dy * PAN);
        return true;
    }
    return dx !== 0 && stepPicture(dx) !== null;
}

async function showHelp() {
    await tools();
    const dialog = /** @type {HTMLDialogElement} */ ($('help'));
    $('help-keys').replaceChildren(...described().map(({ keys, shown, text }) => element('li', {},
        element('kbd', { text: shown ?? keys[0] }), element('span', { text: t(text) }))));
    dialog.showModal();
}

/** What is pressed before `parts` resolves is done when it has.
 * @param {Promise<void>} parts what the keys are for */
export function startKeys(parts) {
    let begun = false;
    void parts.then(() => { begun = true; });
    const shownPicture = () => currentPicture() !== null;
    /** @type {import('./bindings.js').Binding[]} */
    const own = [
        { keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9'], shown: '1 … 9', text: 'key.class',
            act: ({ key }) => shownPicture() && chooseClass(Number(key) - 1) },
        { keys: ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'], shown: '← →',
            text: 'key.arrows', act: (event) => shownPicture() && arrow(event) },
        { keys: ['+', '='], shown: '+', text: 'key.in', act: () => zoomBy(1.25) },
        { keys: ['-', '_'], shown: '−', text: 'key.out', act: () => zoomBy(1 / 1.25) },
        { keys: ['0'], text: 'key.fit', act: fit },
        { keys: ['z'], text: 'key.pixels', act: () => zoomTo(1) },
        { keys: ['['], shown: '[ ]', text: 'key.threshold', act: () => stepThreshold(-0.01) },
        { keys: [']'], text: '', act: () => stepThreshold(0.01) },
        { keys: ['b'], text: 'key.boxes', act: () => change({ boxes: state.boxes === 'largest'
            ? 'all' : state.boxes === 'all' ? 'objects' : 'largest' }) },
        { keys: ['h'], text: 'key.heat', act: () => change({ opacity: state.opacity > 0 ? 0 : 0.65 }) },
        { keys: ['i'], text: 'key.inspect',
            act: () => announce(t(inspect(!isInspecting()) ? 'inspect.on' : 'inspect.off')) },
        { keys: ['Escape'], text: '', act: () => isInspecting() && inspect(false) },
        { keys: ['?'], text: 'key.help', act: () => void showHelp() },
    ];
    own.forEach(bind);
    window.addEventListener('keydown', (event) => {
        if (begun) {
            onKey(event);
        } else {
            void parts.then(() => onKey(event));
        }
    });
    $('help-open').addEventListener('click', () => void showHelp());
    $('zoom-in').addEventListener('click', () => zoomBy(1.5));
    $('zoom-out').addEventListener('click', () => zoomBy(1 / 1.5));
    $('zoom-fit').addEventListener('click', fit);
    $('zoom-level').addEventListener('click', () => zoomTo(1));
}
