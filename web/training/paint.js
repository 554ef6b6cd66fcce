/* Paints pictures with their boxes, and maps. */

/** @typedef {{width: number, height: number, data: string, least?: number, most?: number}} Grid */
/** @typedef {[number, number, number, number]} Box */

/* inferno (van der Walt and Smith, released as CC0), a colour for every 15th of its 256. */
const KNOTS = ('000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b ' +
    'c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4').split(' ');

/** @param {number} value a byte @returns {[number, number, number]} */
export function inferno(value) {
    const knot = Math.min(Math.floor(value / 15), KNOTS.length - 2);
    const part = (value - knot * 15) / 15;
    const channel = (/** @type {number} */ k, /** @type {number} */ c) =>
        parseInt(KNOTS[k].slice(2 * c, 2 * c + 2), 16);
    const mix = (/** @type {number} */ c) =>
        channel(knot, c) * (1 - part) + channel(knot + 1, c) * part;
    return [mix(0), mix(1), mix(2)];
}

/** The bytes of a map.
 * @param {Grid} grid @returns {Uint8Array} */
export function bytesOf({ data, width, height }) {
    const text = atob(data);
    return Uint8Array.from({ length: width * height }, (_, i) => text.charCodeAt(i) || 0);
}

/** Paints each position of a map as a pixel of a canvas.
 * @param {HTMLCanvasElement} canvas @param {Grid} grid
 * @param {(byte: number) => [number, number, number, number]} colour red, green, blue, opacity */
export function paintGrid(canvas, grid, colour) {
    const bytes = bytesOf(grid);
    canvas.width = grid.width;
    canvas.height = grid.height;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const pixels = context.createImageData(grid.width, grid.height);
    bytes.forEach((byte, i) => pixels.data.set(colour(byte), i * 4));
    context.putImageData(pixels, 0, 0);
}

/** @param {CanvasRenderingContext2D} context @param {Box} box fractions @param {string} colour
 * @param {number[]} dash */
function paintBox(context, [x0, y0, x1, y1], colour, dash) {
    const { width, height } = context.canvas;
    const rim = Math.max(width, height) / 100;
    const left = Math.max(x0 * width, rim);
    const top = Math.max(y0 * height, rim);
    const right = Math.min(x1 * width, width - rim);
    const bottom = Math.min(y1 * height, height - rim);
    context.setLineDash([]);
    context.lineWidth = rim * 2;
    context.strokeStyle = 'rgb(10 12 16 / 70%)';
    context.strokeRect(left, top, right - left, bottom - top);
    context.setLineDash(dash.map((length) => length * rim));
    context.lineWidth = rim * 1.1;
    context.strokeStyle = colour;
    context.strokeRect(left, top, right - left, bottom - top);
}

/** Paints a picture, its map over it, and its boxes.
 * @param {HTMLCanvasElement} canvas @param {CanvasImageSource} picture
 * @param {{width: number, height: number, truth: Box[], found: Box | null, map: Grid | null}} what */
export function paintPicture(canvas, picture, { width, height, truth, found, map }) {
    canvas.width = width;
    canvas.height = height;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.drawImage(picture, 0, 0, width, height);
    if (map) {
        const small = document.createElement('canvas');
        paintGrid(small, map, (byte) => [...inferno(byte), Math.min(255, 10 + 1.3 * byte)]);
        context.globalAlpha = 0.6;
        context.imageSmoothingQuality = 'high';
        context.drawImage(small, 0, 0, width, height);
        context.globalAlpha = 1;
    }
    for (const box of truth) paintBox(context, box, '#fff', [4, 3]);
    if (found) paintBox(context, found, '#40e0ff', []);
}
