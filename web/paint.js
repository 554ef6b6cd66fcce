/* Draws a picture and what was found in it on a canvas. A `place` says where the picture lies: its
 * left upper corner and the size of one of its pixels, in pixels of the canvas. */

import { largestComponent, levelLines, regionsOf } from './boxes.js';
import { differenceWord, heatWords } from './colours.js';
import { contextOf, element, percent, readable } from './dom.js';
import { hardlySeen } from './answers.js';

/**
 * @typedef {import('./answers.js').ClassMap} ClassMap
 * @typedef {import('./answers.js').Shown} Shown
 * @typedef {import('./store.js').ScoredBox} ScoredBox
 * @typedef {{left: number, top: number, scale: number}} Place
 * @typedef {{width: number, height: number, source: CanvasImageSource,
 *     small: ImageBitmap | null, close: () => void}} Frame a decoded picture, and a smaller copy of a
 *     large one; `close` gives the memory of the picture back
 */

/** From this size of a pixel on, pixels are drawn as squares. */
const SQUARE = 3;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 * @param {Place} place
 */
export function paintPicture(context, frame, { left, top, scale }) {
    const { width, height } = context.canvas;
    context.clearRect(0, 0, width, height);
    /* The part in view, in whole pixels of the picture. */
    const x0 = Math.max(Math.floor(-left / scale), 0);
    const y0 = Math.max(Math.floor(-top / scale), 0);
    const x1 = Math.min(Math.ceil((width - left) / scale), frame.width);
    const y1 = Math.min(Math.ceil((height - top) / scale), frame.height);
    if (x1 <= x0 || y1 <= y0) {
        return;
    }
    const small = frame.small && frame.small.width >= frame.width * scale ? frame.small : null;
    const part = small ? small.width / frame.width : 1;
    context.imageSmoothingEnabled = scale < SQUARE;
    context.imageSmoothingQuality = small || scale >= 0.5 ? 'low' : 'medium';
    context.drawImage(small ?? frame.source, x0 * part, y0 * part, (x1 - x0) * part, (y1 - y0) * part,
        left + x0 * scale, top + y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale);
}

/** @type {WeakMap<object, number>} */
const largestBytes = new WeakMap();

/** The greatest byte of a map, which thresholds are fractions of. @param {Float64Array} map */
function largestByte(map) {
    let largest = largestBytes.get(map);
    if (largest === undefined) {
        largest = map.reduce((a, b) => Math.max(a, Math.trunc(b * 255)), 0);
        largestBytes.set(map, largest);
    }
    return largest;
}

/** The value from which on a pixel is in the foreground. @param {ClassMap} map
 * @param {number} threshold */
export function levelOf({ map }, threshold) {
    return (Math.trunc(threshold * largestByte(map)) + 1) / 255;
}

/** @type {HTMLCanvasElement[]} kept, because making them takes longer than filling them */
const sheets = [];

/**
 * A canvas of the map's size, filled pixel by pixel.
 * @param {number} sheet which one
 * @param {number} width @param {number} height
 * @param {(words: Uint32Array) => void} fill
 */
function filledSheet(sheet, width, height, fill) {
    const canvas = sheets[sheet] ??= element('canvas');
    if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
    }
    const context = contextOf(canvas);
    const pixels = context.createImageData(width, height);
    fill(new Uint32Array(pixels.data.buffer));
    context.putImageData(pixels, 0, 0);
    return canvas;
}

/**
 * The heat of a map as a canvas; it is overwritten by the next call for the same sheet.
 * @param {ClassMap} map @param {string} colours @param {number} level @param {number} glow
 * @param {number} [sheet]
 */
export function heatSheet({ map, width, height }, colours, level, glow, sheet = 0) {
    const table = heatWords(colours, level, glow);
    return filledSheet(sheet, width, height, (words) => {
        for (let i = 0; i < words.length; i++) {
            words[i] = table[Math.trunc(map[i] * 255)];
        }
    });
}

/** One map minus another of the same size. @param {ClassMap} a @param {ClassMap} b */
export function differenceSheet(a, b) {
    return filledSheet(2, a.width, a.height, (words) => {
        for (let i = 0; i < words.length; i++) {
            words[i] = differenceWord(a.map[i] - b.map[i]);
        }
    });
}

/**
 * The outline of what is boxed: of the largest region, or of all.
 * @param {ClassMap} classMap @param {number} threshold @param {string} mode
 */
export function outlineOf(classMap, threshold, mode) {
    const { map, width, height } = classMap;
    const level = levelOf(classMap, threshold);
    if (mode !== 'largest') {
        return levelLines(map, width, height, level);
    }
    const found = regionsOf(map, width, height, threshold);
    const largest = largestComponent(found, width);
    return levelLines(map, width, height, level,
        (pixel) => found.labels[pixel] === largest?.label);
}

/**
 * @param {CanvasRenderingContext2D} context @param {HTMLCanvasElement} sheet
 * @param {number} width of the picture @param {number} height @param {Place} place
 */
export function paintSheet(context, sheet, width, height, { left, top, scale }) {
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = 'low';
    context.drawImage(sheet, left, top, width * scale, height * scale);
}

/**
 * @param {CanvasRenderingContext2D} context @param {number[]} lines in pixels of the map
 * @param {number} across size of a pixel of the map on the canvas @param {number} down
 * @param {Place} place @param {number} unit
 */
export function paintLines(context, lines, across, down, { left, top }, unit) {
    if (lines.length === 0) {
        return;
    }
    const path = new Path2D();
    for (let i = 0; i < lines.length; i += 4) {
        path.moveTo(left + lines[i] * across, top + lines[i + 1] * down);
        path.lineTo(left + lines[i + 2] * across, top + lines[i + 3] * down);
    }
    context.lineCap = 'round';
    context.strokeStyle = 'rgba(0, 0, 0, 0.4)';
    context.lineWidth = 3 * unit;
    context.stroke(path);
    context.strokeStyle = 'rgba(255, 255, 255, 0.9)';
    context.lineWidth = 1.25 * unit;
    context.stroke(path);
}

/** The text beside a box. @param {Shown} shown @param {ScoredBox} box */
export function labelOf({ prediction, boxes }, box) {
    return !prediction ? '' : boxes.length > 1 ? box.score.toFixed(2)
        : `${readable(prediction.label)}  ${percent(prediction.score)}`;
}

/**
 * A rectangle with a label, in pixels of the canvas. At the edge of the canvas the line is moved
 * inward so that it stays visible.
 * @param {CanvasRenderingContext2D} context
 * @param {import('./objects.js').Box} box in pixels of the picture, ends inclusive
 * @param {string} label @param {Place} place
 * @param {number} unit a CSS pixel in pixels of the canvas
 * @param {string} [colour]
 */
export function paintBox(context, box, label, { left, top, scale }, unit, colour = '#fff') {
    const { width, height } = context.canvas;
    const rim = 1.25 * unit;
    const x = Math.max(left + box.x0 * scale, Math.min(rim, left + (box.x0 + 1) * scale));
    const y = Math.max(top + box.y0 * scale, Math.min(rim, top + (box.y0 + 1) * scale));
    const right = left + (box.x1 + 1) * scale;
    const bottom = top + (box.y1 + 1) * scale;
    const w = (right > width - rim && right < width + 2 * rim ? width - rim : right) - x;
    const h = (bottom > height - rim && bottom < height + 2 * rim ? height - rim : bottom) - y;
    context.lineJoin = 'round';
    context.strokeStyle = 'rgba(0, 0, 0, 0.55)';
    context.lineWidth = 4.5 * unit;
    context.strokeRect(x, y, w, h);
    context.strokeStyle = colour;
    context.lineWidth = 2.25 * unit;
    context.strokeRect(x, y, w, h);
    if (!label) {
        return;
    }
    context.font = `600 ${13 * unit}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
    const tall = 22 * unit;
    const wide = Math.min(context.measureText(label).width + 14 * unit, width);
    const outside = y > tall + 2 * unit;
    const at = Math.min(Math.max(x - unit + (outside ? 0 : 3 * unit), 0), width - wide);
    const above = outside ? y - tall - 2 * unit : Math.max(y, 0) + 3 * unit;
    context.fillStyle = 'rgba(10, 12, 16, 0.82)';
    context.beginPath();
    context.roundRect(at, above, wide, tall, 5 * unit);
    context.fill();
    context.fillStyle = '#fff';
    context.fillText(label, at + 7 * unit, above + tall / 2 + unit, wide - 14 * unit);
}

/**
 * Heat, outline and boxes of one pane.
 * @param {CanvasRenderingContext2D} context
 * @param {Shown} shown @param {{width: number, height: number}} size of the picture
 * @param {Place} place @param {number} unit
 * @param {{opacity: number, colours: string, outline: boolean, boxes: string}} look
 * @param {number} [sheet]
 */
export function paintFindings(context, shown, size, place, unit, look, sheet = 0) {
    const { map, prediction, threshold } = shown;
    if (map && prediction) {
        const level = levelOf(map, threshold);
        const glow = prediction.present ?? 1;
        context.globalAlpha = look.opacity;
        paintSheet(context, heatSheet(map, look.colours, level, glow, sheet), size.width,
            size.height, place);
        context.globalAlpha = 1;
        if (look.outline && !hardlySeen(prediction)) {
            paintLines(context, outlineOf(map, threshold, look.boxes),
                size.width * place.scale / map.width, size.height * place.scale / map.height,
                place, unit);
        }
    }
    for (const box of shown.boxes) {
        paintBox(context, box, labelOf(shown, box), place, unit);
    }
}

/**
 * The colours from weak to strong, over the whole canvas; what is below the level fades.
 * @param {HTMLCanvasElement} canvas @param {string} colours @param {number} level
 */
export function paintLegend(canvas, colours, level) {
    const sheet = filledSheet(3, 256, 1, (words) => words.set(heatWords(colours, level, 1)));
    canvas.width = 256;
    canvas.height = 1;
    contextOf(canvas).drawImage(sheet, 0, 0);
}
