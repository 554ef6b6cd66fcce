/* The stage: the picture with what was found in it, in one pane or two. It is drawn on two canvases
 * for each pane, the picture below and the findings above, so that a moving threshold does not draw
 * the photograph anew. It is drawn at most once a frame.
 *
 * A new picture is shown when it is decoded; until then the old one stays as it is, with its own
 * boxes. Other modules draw above the findings (addLayer) and take the pointer (addTool). */

import { classMapOf, hardlySeen, panes, shownOf } from './answers.js';
import { $, canvasOf, contextOf, percent, readable } from './dom.js';
import { differenceSheet, paintFindings, paintPicture, paintSheet } from './paint.js';
import { drawable } from './prepare.js';
import { change, state, subscribe } from './state.js';
import { currentPicture, store } from './store.js';
import { t } from './text.js';
import { place as placeOf, toPicture, viewAt } from './view.js';

/**
 * @typedef {import('./paint.js').Frame} Frame
 * @typedef {import('./paint.js').Place} Place
 * @typedef {import('./answers.js').Shown} Shown
 * @typedef {import('./store.js').Picture} Picture
 * @typedef {{x: number, y: number}} Point
 * @typedef {{root: HTMLElement, picture: HTMLCanvasElement, findings: HTMLCanvasElement,
 *     title: HTMLElement}} Sheet
 */

/**
 * What another module draws above the findings of the first pane.
 * @typedef {(context: CanvasRenderingContext2D, place: Place, unit: number, picture: Picture) =>
 *     void} Layer
 */

/**
 * What another module does with the pointer in the first pane, in pixels of the picture. `down`
 * returns whether the tool takes the pointer, until `up`; `cursor` names the shape of the pointer.
 * @typedef {object} Tool
 * @property {(point: Point, event: PointerEvent) => boolean} down
 * @property {(point: Point, event: PointerEvent) => void} move
 * @property {(point: Point, event: PointerEvent) => void} up
 * @property {() => void} [cancel] a second finger has come, so the first was no work of this tool
 * @property {(point: Point) => string} [cursor]
 */

/* A larger picture has a smaller copy, which is drawn while it is shown whole. */
const LARGE_PX = 2560;
/* Decoded pictures that are kept, so that going back shows them at once. */
const KEPT_FRAMES = 3;
const KEPT_PIXELS = 40e6;

/** @type {Layer[]} */
const layers = [];
/** @type {Tool[]} */
const tools = [];
/** @type {Map<Picture, Frame>} the one used last is at the end */
const frames = new Map();
/** @type {Set<Picture>} those that are being decoded, each once however often pictures come */
const decoding = new Set();
/** @type {Picture | null} the last one that could not be decoded */
let failed = null;
/** @type {{picture: Picture, frame: Frame} | null} what is on the stage */
let onStage = null;
/** @type {Sheet[]} */
let sheets = [];
/** @type {Point | null} where the cursor is, in pixels of the picture */
let cursor = null;
/** Whether the cursor is moved by the keyboard. */
let inspecting = false;
let scheduled = 0;
const PICTURE = 1;
const FINDINGS = 2;

/** Draws above the findings, after them. @param {Layer} layer */
export function addLayer(layer) {
    layers.push(layer);
    paintSoon();
}

/** Offers the pointer to a tool, before the picture is moved by it. @param {Tool} tool */
export function addTool(tool) {
    tools.push(tool);
}

/** The picture on the stage, with its size; null before the first one is decoded. */
export function shownPicture() {
    return onStage && { picture: onStage.picture, ...sizeOf(onStage.frame) };
}

/** @param {Frame} frame */
const sizeOf = ({ width, height }) => ({ width, height });

/** Draws the findings with the next frame; with `all` the picture too. @param {boolean} [all] */
export function paintSoon(all = false) {
    if (scheduled === 0) {
        requestAnimationFrame(() => {
            const what = scheduled;
            scheduled = 0;
            paint(what);
        });
    }
    scheduled |= all ? PICTURE | FINDINGS : FINDINGS;
}

/* --- decoding ------------------------------------------------------------- */

/** @param {Blob} file @returns {Promise<Frame>} */
async function decode(file) {
    const { source, size, close } = await drawable(file);
    const { width, height } = size;
    const longer = Math.max(width, height);
    if (longer <= LARGE_PX) {
        return { width, height, source, small: null, close };
    }
    const small = await createImageBitmap(source, {
        resizeWidth: Math.max(Math.round(width * LARGE_PX / longer / 2), 1),
        resizeHeight: Math.max(Math.round(height * LARGE_PX / longer / 2), 1),
        resizeQuality: 'medium',
    });
    return { width, height, source, small, close };
}

/** Forgets the pictures that were shown longest ago. */
function dropFrames() {
    let pixels = 0;
    let count = 0;
    for (const [picture, frame] of [...frames].reverse()) {
        pixels += frame.width * frame.height;
        count++;
        const kept = picture === onStage?.picture ||
            (count <= KEPT_FRAMES && pixels <= KEPT_PIXELS && store.pictures.includes(picture));
        if (!kept) {
            frames.delete(picture);
            frame.close();
            frame.small?.close();
        }
    }
}

/** Brings the current picture onto the stage. @param {boolean} again also if it could not be decoded */
async function load(again) {
    const picture = currentPicture();
    if (!picture || onStage?.picture === picture) {
        if (!picture) {
            onStage = null;
            dropFrames();
        }
        paintSoon(true);
        return;
    }
    let frame = frames.get(picture);
    if (!frame) {
        if (decoding.has(picture) || (failed === picture && !again)) {
            return;
        }
        decoding.add(picture);
        try {
            frame = await decode(picture.file);
        } catch {
            failed = picture;
            /* The server says what is wrong with the file. */
            if (currentPicture() === picture) {
                onStage = null;
                paintSoon(true);
            }
            return;
        } finally {
            decoding.delete(picture);
        }
    }
    frames.delete(picture);
    frames.set(picture, frame);
    if (currentPicture() === picture) {
        onStage = { picture, frame };
        cursor = null;
        paintSoon(true);
    }
    dropFrames();
}

/* --- drawing --------------------------------------------------------------- */

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
function resize(canvas, width, height) {
    if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
        return true;
    }
    return false;
}

/** The place of the picture in a pane, in CSS pixels. */
function currentPlace() {
    const { frame } = /** @type {NonNullable<typeof onStage>} */ (onStage);
    const { clientWidth, clientHeight } = sheets[0].root;
    return placeOf({ width: clientWidth, height: clientHeight }, sizeOf(frame), state.view);
}

/** Puts the panes side by side, or one above the other, whichever shows more.
 * @param {number} count */
function arrange(count) {
    const stage = $('stage');
    sheets[1].root.hidden = count < 2;
    stage.classList.toggle('two', count > 1);
    if (count > 1 && onStage) {
        const { width, height } = onStage.frame;
        const across = Math.min(stage.clientWidth / 2 / width, stage.clientHeight / height);
        const down = Math.min(stage.clientWidth / width, stage.clientHeight / 2 / height);
        stage.classList.toggle('stacked', down > across);
    }
}

/** @param {number} what */
function paint(what) {
    const shown = panes();
    const two = shown.length > 1 && !state.difference;
    const stage = $('stage');
    stage.classList.toggle('blank', !onStage);
    arrange(two ? 2 : 1);
    if (!onStage || stage.clientWidth === 0) {
        return;
    }
    const { picture, frame } = onStage;
    const unit = window.devicePixelRatio || 1;
    const { left, top, scale } = currentPlace();
    const place = { left: left * unit, top: top * unit, scale: scale * unit };
    const found = shown.map((pane) => shownOf(picture, pane));
    for (let i = 0; i < (two ? 2 : 1); i++) {
        const sheet = sheets[i];
        sheet.root.classList.toggle('zoomed', state.view !== null);
        const width = Math.round(sheet.root.clientWidth * unit);
        const height = Math.round(sheet.root.clientHeight * unit);
        const resized = resize(sheet.picture, width, height);
        resize(sheet.findings, width, height);
        if (resized || what & PICTURE) {
            paintPicture(contextOf(sheet.picture, { alpha: true }), frame, place);
        }
        const context = contextOf(sheet.findings);
        context.clearRect(0, 0, width, height);
        if (shown.length > 1 && state.difference) {
            paintDifference(context, found, frame, place);
        } else {
            /* While boxes are corrected, they alone are shown. */
            const own = state.correct && i === 0 ? { ...found[i], boxes: [] } : found[i];
            paintFindings(context, own, sizeOf(frame), place, unit, state, i);
        }
        if (i === 0) {
            layers.forEach((layer) => layer(context, place, unit, picture));
        }
        paintCursor(context, place, unit, i);
        describe(sheet, found[i], shown.length > 1);
    }
    showReadout(found);
    $('zoom-level').textContent = t('number.percent', { value: Math.round(scale * 100) });
}

/**
 * @param {CanvasRenderingContext2D} context @param {Shown[]} found
 * @param {Frame} frame @param {Place} place
 */
function paintDifference(context, [first, second], frame, place) {
    const a = first.map;
    const b = a && classMapOf(second.prediction, a);
    if (a && b) {
        context.globalAlpha = state.opacity;
        paintSheet(context, differenceSheet(a, b), frame.width, frame.height, place);
        context.globalAlpha = 1;
    }
}

/** A ring around the cursor: in both panes, or where the keyboard moves it.
 * @param {CanvasRenderingContext2D} context @param {Place} place @param {number} unit
 * @param {number} pane */
function paintCursor(context, { left, top, scale }, unit, pane) {
    if (!cursor || !(inspecting || pane !== hovered)) {
        return;
    }
    const x = left + (cursor.x + 0.5) * scale;
    const y = top + (cursor.y + 0.5) * scale;
    for (const [colour, width] of /** @type {const} */ ([['#000', 4], ['#fff', 1.75]])) {
        context.strokeStyle = colour;
        context.lineWidth = width * unit;
        context.beginPath();
        context.arc(x, y, 7 * unit, 0, 2 * Math.PI);
        context.stroke();
    }
}

/** @param {Sheet} sheet @param {Shown} shown @param {boolean} titled */
function describe({ findings, title }, shown, titled) {
    const { prediction, boxes, model, pane } = shown;
    const name = onStage?.picture.name ?? '';
    let text = name;
    if (prediction) {
        text = t('stage.described', {
            name, label: readable(prediction.label), score: percent(prediction.score),
        });
        text += hardlySeen(prediction) ? t('stage.described.hardly') : '';
        text += boxes.slice(0, 6).map((box) => t('stage.described.box', { ...box })).join('');
    }
    findings.setAttribute('aria-label', text);
    title.hidden = !titled;
    title.textContent = state.difference ? t('compare.difference') : [
        model.name, prediction && readable(prediction.label),
        ...Object.values(pane.map).filter((value) => value !== null).map(String),
    ].filter(Boolean).join(' · ');
}

/* --- the value under the cursor ---------------------------------------------- */

/** The map's value at a pixel of the picture. @param {Shown} shown @param {Point} point */
function valueAt({ map }, { x, y }) {
    if (!map || !onStage) {
        return null;
    }
    const { width, height } = onStage.frame;
    const column = Math.min(Math.floor((x + 0.5) * map.width / width), map.width - 1);
    const row = Math.min(Math.floor((y + 0.5) * map.height / height), map.height - 1);
    return map.map[row * map.width + column];
}

/** @param {Shown[]} found */
function showReadout(found) {
    const readout = $('readout');
    readout.hidden = !cursor;
    if (!cursor) {
        return;
    }
    const place = t('readout.place', { x: cursor.x, y: cursor.y });
    const values = found.map((shown) => {
        const value = valueAt(shown, /** @type {Point} */ (cursor));
        return value === null || !shown.prediction ? '' : t('readout.value', {
            value: value.toFixed(2), label: readable(shown.prediction.label),
        });
    }).filter(Boolean);
    readout.textContent = [place, ...values].join('   ');
}

/** Puts the cursor on a pixel of the picture, or takes it away. @param {Point | null} point */
export function setCursor(point) {
    const within = point && onStage && point.x >= 0 && point.y >= 0 &&
        point.x < onStage.frame.width && point.y < onStage.frame.height;
    const next = within ? { x: Math.floor(point.x), y: Math.floor(point.y) } : null;
    if (next?.x !== cursor?.x || next?.y !== cursor?.y) {
        cursor = next;
        paintSoon();
    }
}

/** @returns {Point | null} */
export const cursorPoint = () => cursor;

/** Lets the keyboard move the cursor, or not. @param {boolean} on */
export function inspect(on) {
    inspecting = on && onStage !== null;
    if (onStage) {
        const { width, height } = onStage.frame;
        setCursor(inspecting ? cursor ?? { x: width / 2, y: height / 2 } : null);
    }
    paintSoon();
    return inspecting;
}

export const isInspecting = () => inspecting;

/* --- zoom and pan --------------------------------------------------------------- */

/** @type {number} the pane under the pointer, or -1 */
let hovered = -1;

/** The size of a pane, and of the picture. */
function sizes() {
    const { clientWidth, clientHeight } = sheets[0].root;
    return onStage && {
        pane: { width: clientWidth, height: clientHeight }, image: sizeOf(onStage.frame),
    };
}

/**
 * Zooms so that a point of the pane stays where it is; without one, the middle.
 * @param {number} factor @param {Point} [at] in CSS pixels of the pane
 */
export function zoomBy(factor, at) {
    const size = sizes();
    if (size) {
        const middle = { x: size.pane.width / 2, y: size.pane.height / 2 };
        change({ view: viewAt(size.pane, size.image, state.view, factor, at ?? middle) });
    }
}

/** Shows each pixel of the picture as `size` CSS pixels. @param {number} size @param {Point} [at] */
export function zoomTo(size, at) {
    if (onStage) {
        zoomBy(size / currentPlace().scale, at);
    }
}

export const fit = () => change({ view: null });

/** Moves the picture by CSS pixels. @param {number} dx @param {number} dy */
export function pan(dx, dy) {
    const size = sizes();
    if (size && state.view) {
        const middle = { x: size.pane.width / 2 - dx, y: size.pane.height / 2 - dy };
        const { x, y } = toPicture(currentPlace(), middle);
        const { width, height } = size.image;
        change({ view: viewAt(size.pane, size.image,
            { zoom: state.view.zoom, x: x / width, y: y / height }, 1,
            { x: size.pane.width / 2, y: size.pane.height / 2 }) });
    }
}

/* --- the pointer ------------------------------------------------------------------ */

/** @param {HTMLElement} root @param {number} pane */
function listen(root, pane) {
    /** @type {Map<number, Point>} the pointers that are down */
    const down = new Map();
    /** @type {Tool | null} */
    let taken = null;
    /** @type {{id: number, at: Point} | null} the pointer that the tool has taken */
    let takenBy = null;

    /** @param {MouseEvent} event @returns {Point} in CSS pixels of the pane */
    const within = (event) => {
        const rectangle = root.getBoundingClientRect();
        return { x: event.clientX - rectangle.left, y: event.clientY - rectangle.top };
    };
    /** @param {MouseEvent} event */
    const inPicture = (event) => toPicture(currentPlace(), within(event));

    root.addEventListener('wheel', (event) => {
        if (!onStage) {
            return;
        }
        event.preventDefault();
        const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
        const steps = Math.max(-160, Math.min(160, event.deltaY * lines));
        zoomBy(Math.exp(-steps * (event.ctrlKey ? 0.01 : 0.002)), within(event));
    }, { passive: false });

    root.addEventListener('pointerdown', (event) => {
        if (!onStage || event.button > 1) {
            return;
        }
        if (!taken && down.size === 0 && pane === 0 && event.button === 0) {
            taken = tools.find((tool) => tool.down(inPicture(event), event)) ?? null;
        }
        if (taken && takenBy !== null && event.pointerId !== takenBy.id) {
            /* Two fingers zoom and pan, whatever the first one was about to do. */
            taken.cancel?.();
            taken = null;
            down.set(takenBy.id, takenBy.at);
            takenBy = null;
        }
        if (!taken) {
            down.set(event.pointerId, within(event));
        } else {
            takenBy = { id: event.pointerId, at: within(event) };
        }
        root.setPointerCapture(event.pointerId);
        root.classList.toggle('dragged', !taken && state.view !== null);
    });
    root.addEventListener('pointermove', (event) => {
        if (!onStage) {
            return;
        }
        hovered = pane;
        const before = down.get(event.pointerId);
        const now = within(event);
        if (taken && takenBy?.id === event.pointerId) {
            takenBy.at = now;
            taken.move(inPicture(event), event);
        } else if (before && down.size === 2) {
            const [[, other]] = [...down].filter(([id]) => id !== event.pointerId);
            const apart = (/** @type {Point} */ p) => Math.hypot(p.x - other.x, p.y - other.y);
            const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
            zoomBy(apart(now) / Math.max(apart(before), 1), middle);
            pan((now.x - before.x) / 2, (now.y - before.y) / 2);
        } else if (before) {
            pan(now.x - before.x, now.y - before.y);
        } else {
            const point = inPicture(event);
            const shape = pane === 0 ? tools.map((tool) => tool.cursor?.(point)).find(Boolean) : '';
            root.style.cursor = shape || '';
        }
        if (before) {
            down.set(event.pointerId, now);
        }
        if (!inspecting && event.pointerType !== 'touch') {
            setCursor(inPicture(event));
        }
    });
    const up = (/** @type {PointerEvent} */ event) => {
        if (takenBy?.id === event.pointerId) {
            taken?.up(inPicture(event), event);
            taken = null;
            takenBy = null;
        }
        down.delete(event.pointerId);
        root.classList.remove('dragged');
    };
    root.addEventListener('pointerup', (event) => {
        /* A tap puts the cursor there, where there is no pointer that hovers. */
        const tapped = event.pointerType === 'touch' && !taken && down.size === 1;
        if (onStage && tapped) {
            setCursor(inPicture(event));
        }
        up(event);
    });
    root.addEventListener('pointercancel', up);
    root.addEventListener('pointerleave', () => {
        hovered = -1;
        if (!inspecting) {
            setCursor(null);
        }
    });
    root.addEventListener('dblclick', (event) => {
        if (!taken) {
            if (state.view) {
                fit();
            } else {
                zoomTo(Math.max(1, currentPlace().scale * 2), within(event));
            }
        }
    });
}

export function startStage() {
    sheets = ['', '-beside'].map((which) => ({
        root: $(`pane${which}`), picture: canvasOf(`picture${which}`),
        findings: canvasOf(`canvas${which}`), title: $(`title${which}`),
    }));
    sheets.forEach(({ root }, pane) => listen(root, pane));
    subscribe(['picture', 'pictures'], (changed) => void load(changed.has('picture')));
    subscribe(['view', 'beside', 'difference'], () => paintSoon(true));
    subscribe(['model', 'models', 'class', 'map', 'threshold', 'boxes', 'outline', 'opacity', 'colours',
        'answers'], () => paintSoon());
    new ResizeObserver(() => paintSoon(true)).observe($('stage'));
    void load(true);
}
