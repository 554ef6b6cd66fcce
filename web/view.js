/* Where a picture lies in a pane: the arithmetic of zoom and pan. Nothing here is shown or kept;
 * tests/browser/view.test.mjs tests it. */

/**
 * @typedef {{width: number, height: number}} Size
 * @typedef {{x: number, y: number}} Point
 * @typedef {import('./state.js').View} View
 */

/* A small picture is enlarged this far to fit, and any picture this far by zooming: CSS pixels for
 * each of its pixels. */
const FIT_MOST = 6;
const ZOOM_MOST = 64;

/** The scale at which a picture fits. @param {Size} pane @param {Size} image */
export function fitScale(pane, image) {
    return Math.max(Math.min(pane.width / image.width, pane.height / image.height, FIT_MOST), 1e-6);
}

/**
 * One side: where the picture begins if its point `middle` (0 to 1) is in the middle of the pane. A
 * picture that is smaller than the pane is in its middle; a larger one leaves no gap.
 * @param {number} pane @param {number} size of the picture on the screen @param {number} middle
 */
function start(pane, size, middle) {
    return size <= pane ? (pane - size) / 2
        : Math.min(0, Math.max(pane - size, pane / 2 - middle * size));
}

/**
 * The picture's left upper corner and the size of one of its pixels, in CSS pixels of the pane.
 * @param {Size} pane @param {Size} image @param {View | null} view
 */
export function place(pane, image, view) {
    const scale = Math.min(fitScale(pane, image) * (view?.zoom ?? 1),
        Math.max(ZOOM_MOST, fitScale(pane, image)));
    return {
        left: start(pane.width, image.width * scale, view?.x ?? 0.5),
        top: start(pane.height, image.height * scale, view?.y ?? 0.5),
        scale,
    };
}

/**
 * The pixel of the picture at a point of the pane, as a number with a fraction: 0.0 to 1.0 are the
 * first pixel.
 * @param {{left: number, top: number, scale: number}} place @param {Point} at
 * @returns {Point}
 */
export function toPicture({ left, top, scale }, at) {
    return { x: (at.x - left) / scale, y: (at.y - top) / scale };
}

/**
 * The view after zooming by a factor, so that the point `at` of the pane shows what it showed; null
 * if that is the whole picture.
 * @param {Size} pane @param {Size} image @param {View | null} view
 * @param {number} factor @param {Point} at
 * @returns {View | null}
 */
export function viewAt(pane, image, view, factor, at) {
    const before = place(pane, image, view);
    const least = fitScale(pane, image);
    const scale = Math.min(Math.max(before.scale * factor, least), Math.max(ZOOM_MOST, least));
    if (scale <= least * 1.0005) {
        return null;
    }
    const fixed = toPicture(before, at);
    /** @param {number} side @param {number} pixel @param {number} point @param {number} length */
    const middle = (side, pixel, point, length) => {
        const size = length * scale;
        const begin = start(side, size, (pixel * scale - point + side / 2) / size);
        return Math.min(Math.max((side / 2 - begin) / size, 0), 1);
    };
    return {
        zoom: scale / least,
        x: middle(pane.width, fixed.x, at.x, image.width),
        y: middle(pane.height, fixed.y, at.y, image.height),
    };
}
