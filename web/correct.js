/* Correcting boxes on the stage: they are drawn, moved, resized, labelled and deleted with mouse,
 * finger and keyboard. What is drawn belongs to review.js; this file has the hands for it. */

import { bind } from './bindings.js';
import { $, announce, buttonOf, percent, readable } from './dom.js';
import * as geometry from './geometry.js';
import * as review from './review.js';
import { addLayer, addTool, paintSoon, shownPicture } from './stage.js';
import { change, state, subscribe, touch } from './state.js';
import { currentPicture, selectPicture } from './store.js';
import { followingOpen } from './strip.js';
import { t } from './text.js';

/**
 * @typedef {import('./exports.js').LabelledBox} LabelledBox
 * @typedef {import('./store.js').Picture} Picture
 * @typedef {{x: number, y: number}} Point
 */

/* How near to a handle the pointer has to be, in CSS pixels. */
const REACH_MOUSE = 9;
const REACH_TOUCH = 22;
/* A drag shorter than this, in CSS pixels, is a click. */
const LEAST_DRAG = 4;

/** The index of the selected box; -1: none. */
let selected = -1;
/** CSS pixels of the stage for a pixel of the picture. */
let scale = 1;
/** The picture that was painted last. @type {Picture | null} */
let onStage = null;
/** Counts drags, so that the steps of one are joined. */
let drags = 0;

/**
 * What the pointer does: it waits for a new box or draws one, moves a box or resizes it.
 * @type {{kind: 'new' | 'move' | 'resize', start: Point, box: LabelledBox | null, handle: string,
 *     moved: boolean, name: string} | null}
 */
let drag = null;

/** The picture that can be corrected: the current one, when it is on the stage. */
function picture() {
    const shown = shownPicture();
    return state.correct && shown && shown.picture === currentPicture() ? shown : null;
}

/** @returns {LabelledBox[]} */
const boxes = () => {
    const shown = picture();
    return shown ? review.boxesOn(shown.picture) : [];
};

/** The selected box, with its index among the boxes of the current picture; null if there is none. */
export function selectedBox() {
    const all = boxes();
    return all[selected] ? { box: all[selected], index: selected, all } : null;
}

/** @param {number} index */
export function selectBox(index) {
    selected = index;
    paintSoon();
    showCorrect();
    touch('selected');
    const found = selectedBox();
    if (found) {
        announce(describe(found.box, found.index));
    }
}

/** @param {LabelledBox} box @param {number} index */
const describe = (box, index) => t('correct.box', {
    number: index + 1, label: readable(box.label), x0: box.x0, y0: box.y0, x1: box.x1, y1: box.y1,
});

/** Replaces the boxes of the current picture. @param {LabelledBox[]} changed @param {string} [join] */
function setBoxes(changed, join = '') {
    const shown = picture();
    if (shown) {
        review.setBoxes(shown.picture, changed, 'corrected', join);
    }
}

/** @param {LabelledBox} box @param {string} [join] */
function replaceSelected(box, join = '') {
    setBoxes(boxes().map((one, index) => (index === selected ? box : one)), join);
}

/** The label that a new box gets: that of the selected box, of another one, or of the model. */
function labelForNew() {
    const all = boxes();
    const shown = picture();
    return all[selected]?.label ?? all[0]?.label ?? (shown && review.labelOf(shown.picture)) ??
        t('correct.object');
}

/* --- the pointer ---------------------------------------------------------------- */

/** @param {PointerEvent} event */
const reachOf = (event) => (event.pointerType === 'touch' ? REACH_TOUCH : REACH_MOUSE) / scale;

/** @type {import('./stage.js').Tool} */
const tool = {
    down(start, event) {
        const shown = picture();
        if (!shown || event.button !== 0) {
            return false;
        }
        /* With Shift a new box begins anywhere, also inside of another one. */
        const hit = event.shiftKey ? null
            : geometry.boxAt(boxes(), selected, start.x, start.y, reachOf(event));
        const outside = start.x < 0 || start.y < 0 || start.x > shown.width || start.y > shown.height;
        if (!hit && outside) {
            selectBox(-1);
            return false;
        }
        drags++;
        drag = {
            kind: !hit ? 'new' : hit.part === 'inside' ? 'move' : 'resize', start,
            box: hit ? boxes()[hit.index] : null, handle: hit?.part ?? '', moved: false,
            name: `drag ${drags}`,
        };
        if (hit) {
            selectBox(hit.index);
        }
        return true;
    },
    move(point) {
        const shown = picture();
        if (!drag || !shown) {
            return;
        }
        const dx = point.x - drag.start.x;
        const dy = point.y - drag.start.y;
        drag.moved ||= Math.max(Math.abs(dx), Math.abs(dy)) * scale >= LEAST_DRAG;
        if (!drag.moved) {
            return;
        }
        if (drag.kind === 'new') {
            const box = geometry.boxBetween(drag.start.x, drag.start.y, point.x, point.y, shown);
            if (!drag.box) {
                drag.box = { ...box, label: labelForNew() };
                const all = boxes();
                selected = all.length;
                setBoxes([...all, drag.box], drag.name);
            } else {
                replaceSelected({ ...drag.box, ...box }, drag.name);
            }
        } else if (drag.kind === 'move' && drag.box) {
            replaceSelected({ ...drag.box, ...geometry.moveBox(drag.box, dx, dy, shown) }, drag.name);
        } else if (drag.box) {
            const { box } = geometry.resizeBox(drag.box, drag.handle, point.x, point.y, shown);
            replaceSelected({ ...drag.box, ...box }, drag.name);
        }
    },
    up() {
        const shown = picture();
        if (drag && shown) {
            review.endChange(shown.picture);
            if (drag.kind === 'new' && !drag.moved) {
                selectBox(-1);
            }
        }
        drag = null;
        showCorrect();
        paintSoon();
    },
    cancel() {
        const shown = picture();
        if (drag?.moved && shown) {
            review.endChange(shown.picture);
            review.undo(shown.picture);
        }
        drag = null;
    },
    cursor(point) {
        if (!picture()) {
            return '';
        }
        const hit = geometry.boxAt(boxes(), selected, point.x, point.y, REACH_MOUSE / scale);
        return !hit ? 'crosshair' : hit.part === 'inside' ? 'move' : `${hit.part}-resize`;
    },
};

/* --- painting -------------------------------------------------------------------- */

/** @param {CanvasRenderingContext2D} context @param {import('./paint.js').Place} place
 * @param {number} unit @param {LabelledBox} box @param {boolean} chosen */
function paintBox(context, { left, top, scale: size }, unit, box, chosen) {
    const x = left + box.x0 * size;
    const y = top + box.y0 * size;
    const w = (box.x1 - box.x0 + 1) * size;
    const h = (box.y1 - box.y0 + 1) * size;
    const draft = box.score !== undefined;
    context.setLineDash(draft ? [7 * unit, 5 * unit] : []);
    if (chosen) {
        context.fillStyle = 'rgba(255, 255, 255, 0.12)';
        context.fillRect(x, y, w, h);
    }
    for (const [colour, width] of /** @type {const} */ ([['rgba(0, 0, 0, 0.75)', 5],
        [chosen ? '#ffd60a' : '#4cc9f0', 2.5]])) {
        context.strokeStyle = colour;
        context.lineWidth = width * unit;
        context.strokeRect(x, y, w, h);
    }
    context.setLineDash([]);
    context.font = `600 ${12.5 * unit}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
    const label = readable(box.label);
    const wide = context.measureText(label).width + 12 * unit;
    const tall = 20 * unit;
    const above = y - tall >= 0 ? y - tall : y;
    context.fillStyle = chosen ? '#ffd60a' : '#4cc9f0';
    context.fillRect(x, above, wide, tall);
    context.fillStyle = '#000';
    context.fillText(label, x + 6 * unit, above + tall / 2 + unit * 0.5);
    if (!chosen) {
        return;
    }
    for (const [px, py] of Object.values(geometry.handlePoints(box))) {
        context.beginPath();
        context.arc(left + px * size, top + py * size, 5 * unit, 0, 2 * Math.PI);
        context.fillStyle = '#fff';
        context.fill();
        context.strokeStyle = '#000';
        context.lineWidth = 1.5 * unit;
        context.stroke();
    }
}

/** @type {import('./stage.js').Layer} */
function paintLayer(context, place, unit, shown) {
    scale = place.scale / unit;
    if (shown !== onStage) {
        /* What was decoded just now can be corrected from now on. */
        onStage = shown;
        queueMicrotask(() => {
            showCorrect();
            touch('selected');
        });
    }
    if (!state.correct || shown !== currentPicture()) {
        return;
    }
    review.boxesOn(shown).forEach((box, index) =>
        paintBox(context, place, unit, box, index === selected));
}

/* --- the tools beside the stage ------------------------------------------------------ */

/** Deletes the selected box. */
export function deleteBox() {
    const found = selectedBox();
    if (!found || $('strip').contains(document.activeElement)) {
        return false;
    }
    announce(t('correct.deleted', { label: readable(found.box.label) }));
    setBoxes(found.all.filter((_, index) => index !== found.index));
    selected = Math.min(found.index, found.all.length - 2);
    showCorrect();
    return true;
}

/** Gives the selected box another label. @param {string} label */
export function labelBox(label) {
    const found = selectedBox();
    if (!found || found.box.label === label) {
        return false;
    }
    const { score: _, ...box } = found.box;
    replaceSelected({ ...box, label });
    announce(t('correct.labelled', { label: readable(label) }));
    return true;
}

/** A new box in the middle, for those who draw without a pointer. */
function addBox() {
    const shown = picture();
    if (!shown) {
        return false;
    }
    const { width, height } = shown;
    const box = geometry.boxBetween(width / 4, height / 4, width * 3 / 4, height * 3 / 4, shown);
    const all = boxes();
    const label = labelForNew();
    setBoxes([...all, { ...box, label }]);
    selectBox(all.length);
    return true;
}

/** Goes to the next picture that nobody has looked at, or says that there is none. */
function next() {
    const following = followingOpen();
    if (following) {
        selectPicture(following);
    } else {
        announce(t('correct.finished'));
    }
}

/** Accepts what is on the picture, and goes on. */
function acceptAndGoOn() {
    const shown = picture();
    if (shown && !review.acceptable(shown.picture)) {
        announce(t('correct.unanswered'));
    } else if (shown) {
        review.accept(shown.picture);
        next();
    }
    return shown !== null;
}

/** Says that nothing is on the picture, and goes on. */
function nothingHere() {
    const shown = picture();
    if (shown) {
        setBoxes([]);
        next();
    }
    return shown !== null;
}

/** @param {(p: Picture) => boolean} walk */
function step(walk) {
    const shown = picture();
    return shown !== null && walk(shown.picture);
}

/** @param {boolean} on */
function correct(on) {
    selected = -1;
    change({ correct: on });
    announce(t(on ? 'correct.on' : 'correct.off'));
}

/** How the selected box agrees with the model's, as a text. */
export function agreementText() {
    const found = selectedBox();
    const shown = picture();
    const value = found && shown && review.agreement(shown.picture, found.box);
    return value === null ? '' : t('correct.iou', { value: percent(value) });
}

let told = '';

export function showCorrect() {
    const shown = picture();
    const found = selectedBox();
    buttonOf('correct').setAttribute('aria-pressed', String(state.correct));
    $('correct-tools').hidden = !state.correct;
    $('stage').classList.toggle('correcting', state.correct);
    buttonOf('correct-undo').disabled = !shown || !review.canUndo(shown.picture);
    buttonOf('correct-redo').disabled = !shown || !review.canRedo(shown.picture);
    buttonOf('correct-delete').disabled = !found;
    buttonOf('correct-accept').disabled = !shown || !review.acceptable(shown.picture);
    const text = agreementText();
    $('correct-iou').hidden = text === '';
    if (text !== told) {
        told = text;
        $('correct-iou').textContent = text;
    }
}

/* --- the keyboard -------------------------------------------------------------------- */

/** Arrow keys move the selected box, with Shift its lower right corner.
 * @param {KeyboardEvent} event @param {boolean} far */
function arrow(event, far) {
    const found = selectedBox();
    const shown = picture();
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
        ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!found || !shown) {
        return false;
    }
    const by = Math.max(1, Math.round(1 / scale)) * (far ? 10 : 1);
    const name = `${event.key} ${event.shiftKey} ${found.index}`;
    const box = !event.shiftKey ? geometry.moveBox(found.box, dx * by, dy * by, shown)
        : geometry.nudgeEdge(found.box, dx ? 'e' : 's', (dx || dy) * by, shown);
    replaceSelected({ ...found.box, ...box }, name);
    return true;
}

/** @param {number} by */
function cycle(by) {
    const count = boxes().length;
    if (!picture() || count === 0) {
        return false;
    }
    selectBox(selected < 0 ? (by > 0 ? 0 : count - 1) : (selected + by + count) % count);
    return true;
}

/** Keys with Ctrl, which the table of keys leaves to the browser. @param {KeyboardEvent} event */
function onKey(event) {
    const node = /** @type {HTMLElement} */ (event.target);
    if (!(event.ctrlKey || event.metaKey) || event.altKey || !picture() ||
        node.matches?.('input, select, textarea')) {
        return;
    }
    const key = event.key.toLowerCase();
    const done = key === 'z' ? step(event.shiftKey ? review.redo : review.undo)
        : key === 'y' ? step(review.redo)
            : key.startsWith('arrow') ? arrow(event, true) : false;
    if (done) {
        event.preventDefault();
    }
}

function startKeys() {
    const on = (/** @type {() => boolean} */ act) => () => state.correct && act();
    const digits = ['1', '2', '3', '4', '5', '6', '7', '8', '9'];
    /** @type {import('./bindings.js').Binding[]} */
    const own = [
        { keys: ['e'], text: 'key.correct',
            act: () => currentPicture() !== null && (correct(!state.correct), true) },
        { keys: ['n'], text: 'key.new', act: on(addBox) },
        { keys: ['.', ','], shown: ', .', text: 'key.cycle',
            act: ({ key }) => state.correct && cycle(key === '.' ? 1 : -1) },
        { keys: ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'], shown: '⇧ ← →',
            text: 'key.move', act: (event) => state.correct && arrow(event, false) },
        { keys: ['Delete', 'Backspace', 'd'], shown: 'Delete', text: 'key.delete', act: on(deleteBox) },
        { keys: ['c'], text: 'key.label', act: on(() => {
            $('box-label').focus();
            return true;
        }) },
        { keys: digits, text: '', act: ({ key }) => {
            const shown = picture();
            const label = shown && selectedBox() &&
                review.suggestions(shown.picture)[Number(key) - 1];
            return Boolean(label) && (labelBox(String(label)), true);
        } },
        { keys: ['a'], text: 'key.accept', act: on(acceptAndGoOn) },
        { keys: ['x'], text: 'key.nothing', act: on(nothingHere) },
        /* Listed here, done by onKey. */
        { keys: [], shown: 'Ctrl Z, Ctrl Y', text: 'key.undo', act: () => false },
        { keys: ['Escape'], text: '', act: () => {
            if (state.correct && selected >= 0) {
                selectBox(-1);
                return true;
            }
            return state.correct && (correct(false), true);
        } },
    ];
    own.forEach(bind);
    window.addEventListener('keydown', onKey);
}

export function startCorrect() {
    addTool(tool);
    addLayer(paintLayer);
    startKeys();
    buttonOf('correct').addEventListener('click', () => correct(!state.correct));
    buttonOf('correct-undo').addEventListener('click', () => step(review.undo));
    buttonOf('correct-redo').addEventListener('click', () => step(review.redo));
    buttonOf('correct-delete').addEventListener('click', deleteBox);
    buttonOf('correct-accept').addEventListener('click', acceptAndGoOn);
    buttonOf('correct-new').addEventListener('click', addBox);
    subscribe(['picture'], () => {
        selected = -1;
        drag = null;
    });
    subscribe(['picture', 'pictures', 'drawn', 'correct', 'threshold', 'class', 'boxes', 'answers',
        'model', 'language'], () => {
        showCorrect();
        paintSoon();
    });
    /* The picture has another place while boxes are corrected. */
    subscribe(['correct'], () => paintSoon(true));
    showCorrect();
}
