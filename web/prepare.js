/* Makes of any picture that the browser can show one that the server takes: GIF, AVIF, BMP, HEIC (in
 * Safari) and others become a JPEG, and what has too many bytes or pixels becomes smaller. What the
 * server takes as it is stays as it is. The arithmetic is tested by tests/browser/prepare.test.mjs.
 *
 * Boxes of a smaller copy are scaled back, so everything on the page is in pixels of the original. */

/** @typedef {{width: number, height: number}} Size */
/** @typedef {{bodyBytes: number, pixels: number}} Limits */
/** @typedef {import('./geometry.js').Box} Box */

/**
 * What is sent in place of a file. `why` is '' for the file itself, 'format', 'bytes' or 'pixels'.
 * @typedef {object} Sendable
 * @property {Blob} file
 * @property {string} type
 * @property {'' | 'format' | 'bytes' | 'pixels'} why
 * @property {Size | null} original its size, if another one is sent
 * @property {Size | null} sent
 */

/* The longest side that browsers draw on a canvas. */
const CANVAS_SIDE = 16384;
/* A canvas of more pixels is refused by some (Safari on phones). */
const CANVAS_PIXELS = 16777216;
const QUALITY = 0.92;
const LEAST_SIDE = 16;
const MOST_TRIES = 8;

/** The size at which a picture is drawn: as large as it is and all limits allow.
 * @param {Size} size @param {number} pixels @returns {Size} */
export function drawnSize({ width, height }, pixels) {
    const scale = Math.min(1, Math.sqrt(Math.min(pixels, CANVAS_PIXELS) / (width * height)),
        CANVAS_SIDE / Math.max(width, height));
    const most = Math.min(pixels, CANVAS_PIXELS);
    const side = (/** @type {number} */ v) => Math.max(Math.floor(v * scale), 1);
    /* The shorter side of a very long picture is a pixel, which leaves less for the longer one. */
    return scale === 1 ? { width, height } : {
        width: Math.min(side(width), Math.floor(most / side(height)) || 1),
        height: Math.min(side(height), Math.floor(most / side(width)) || 1),
    };
}

/** The next smaller size to try if an encoding had too many bytes. Bytes grow about as pixels do.
 * @param {Size} size @param {number} bytes it has @param {number} most it may have
 * @returns {Size} */
export function smallerSize({ width, height }, bytes, most) {
    const scale = Math.min(0.95 * Math.sqrt(most / bytes), 0.9);
    const side = (/** @type {number} */ v) => Math.max(Math.floor(v * scale), 1);
    return { width: side(width), height: side(height) };
}

/** A box of a picture of one size in pixels of another: the smallest that covers it.
 * @template {Box} T @param {T} box @param {Size} from @param {Size} to @returns {T} */
export function boxBetweenSizes(box, from, to) {
    const first = (/** @type {number} */ v, /** @type {number} */ a, /** @type {number} */ b) =>
        Math.floor((v * b) / a);
    const last = (/** @type {number} */ v, /** @type {number} */ a, /** @type {number} */ b) =>
        Math.max(Math.ceil(((v + 1) * b) / a) - 1, first(v, a, b));
    return {
        ...box,
        x0: first(box.x0, from.width, to.width), y0: first(box.y0, from.height, to.height),
        x1: last(box.x1, from.width, to.width), y1: last(box.y1, from.height, to.height),
    };
}

/** A picture that the browser can draw, with its size, upright; fails if it cannot.
 * @param {Blob} file @returns {Promise<{source: CanvasImageSource, size: Size, close: () => void}>} */
export async function drawable(file) {
    try {
        const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
        return { source: bitmap, size: { width: bitmap.width, height: bitmap.height },
            close: () => bitmap.close() };
    } catch {
        /* SVG, and formats that a browser shows in an <img> alone. */
        const image = new Image();
        const url = URL.createObjectURL(file);
        try {
            image.src = url;
            await image.decode();
            return { source: image, close: () => {},
                size: { width: image.naturalWidth || 512, height: image.naturalHeight || 512 } };
        } finally {
            URL.revokeObjectURL(url);
        }
    }
}

/** @param {CanvasImageSource} source @param {Size} size @returns {Promise<Blob>} */
async function jpegOf(source, { width, height }) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    /* What is transparent becomes white, as in the server. */
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = 'high';
    context.drawImage(source, 0, 0, width, height);
    const blob = await new Promise((resolve) => {
        canvas.toBlob(resolve, 'image/jpeg', QUALITY);
    });
    canvas.width = 0;
    if (!blob) {
        throw new Error('the browser did not encode the picture');
    }
    return blob;
}

/** What is sent for a file. `type` is its media type if the server reads that format, or ''. With
 * `tooManyPixels` the server has refused it for its pixels. Fails if the browser cannot show the file.
 * @param {Blob} file @param {string} type @param {Limits} limits @param {boolean} [tooManyPixels]
 * @returns {Promise<Sendable>} */
export async function sendableOf(file, type, limits, tooManyPixels = false) {
    if (type && file.size <= limits.bodyBytes && !tooManyPixels) {
        return { file, type, why: '', original: null, sent: null };
    }
    const why = !type ? 'format' : tooManyPixels ? 'pixels' : 'bytes';
    const { source, size: original, close } = await drawable(file);
    try {
        let sent = drawnSize(original, limits.pixels);
        let blob = await jpegOf(source, sent);
        for (let tries = 0; blob.size > limits.bodyBytes; tries++) {
            if (tries === MOST_TRIES || Math.min(sent.width, sent.height) < LEAST_SIDE) {
                throw new Error('no smaller copy is small enough');
            }
            sent = smallerSize(sent, blob.size, limits.bodyBytes);
            blob = await jpegOf(source, sent);
        }
        return { file: blob, type: 'image/jpeg', why, original, sent };
    } finally {
        close();
    }
}
