/* The geometry of boxes that a person draws: what lies under the pointer, and boxes moved, resized
 * and kept inside the picture. These functions are pure; tests/browser/geometry.test.mjs tests them.
 *
 * A box is {x0, y0, x1, y1} in pixels of the picture as displayed, both ends inclusive, like the
 * boxes of the server's answers. Positions of the pointer are in the same unit but continuous: the
 * pixel 0 reaches from 0 to 1, so the right edge of a box lies at x1 + 1. */

/** @typedef {{x0: number, y0: number, x1: number, y1: number}} Box */
/** @typedef {{width: number, height: number}} Size */

/* The shortest side of a box that can be drawn, in pixels of the picture. */
export const LEAST_SIDE = 2;

/* The handles of a box, corners first, because they lie above the edges. */
export const HANDLES = ['nw', 'ne', 'se', 'sw', 'n', 'e', 's', 'w'];

/** @type {(v: number, low: number, high: number) => number} */
const within = (v, low, high) => Math.min(Math.max(v, low), high);

/** @type {(box: Box) => number} */
export const areaOf = (box) => (box.x1 - box.x0 + 1) * (box.y1 - box.y0 + 1);

/** Returns whether two boxes have the same sides.
 * @param {Box} a @param {Box} b */
export function sameBox(a, b) {
    return a.x0 === b.x0 && a.y0 === b.y0 && a.x1 === b.x1 && a.y1 === b.y1;
}

/** The box between two edges of each direction, which may be given in any order: whole pixels
 * inside the picture, and no side shorter than LEAST_SIDE as far as the picture has room.
 * @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {Size} size
 * @returns {Box} */
export function boxBetween(ax, ay, bx, by, { width, height }) {
    const span = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ end) => {
        const least = Math.min(LEAST_SIDE, end);
        const low = Math.round(within(Math.min(a, b), 0, end));
        const high = Math.round(within(Math.max(a, b), 0, end));
        const first = within(low, 0, end - least);
        return [first, Math.max(high, first + least) - 1];
    };
    const [x0, x1] = span(ax, bx, width);
    const [y0, y1] = span(ay, by, height);
    return { x0, y0, x1, y1 };
}

/** The box that lies inside the picture, from numbers of unknown origin; null if they are none.
 * @param {Box} box @param {Size} size @returns {Box | null} */
export function clampBox(box, size) {
    const all = [box.x0, box.y0, box.x1, box.y1];
    return all.every(Number.isFinite)
        ? boxBetween(box.x0, box.y0, box.x1 + 1, box.y1 + 1, size) : null;
}

/** The box moved by whole pixels, stopped by the border of the picture; its size stays.
 * @param {Box} box @param {number} dx @param {number} dy @param {Size} size @returns {Box} */
export function moveBox(box, dx, dy, { width, height }) {
    const right = within(Math.round(dx), -box.x0, width - 1 - box.x1);
    const down = within(Math.round(dy), -box.y0, height - 1 - box.y1);
    return { ...box, x0: box.x0 + right, y0: box.y0 + down, x1: box.x1 + right, y1: box.y1 + down };
}

/** The box with the edges of `handle` moved to (x, y). An edge that is dragged across the opposite
 * one turns the box over, and the handle that is held becomes the other one.
 * @param {Box} box @param {string} handle @param {number} x @param {number} y @param {Size} size
 * @returns {{box: Box, handle: string}} */
export function resizeBox(box, handle, x, y, size) {
    const west = handle.includes('w');
    const east = handle.includes('e');
    const north = handle.includes('n');
    const south = handle.includes('s');
    const left = west ? x : box.x0;
    const right = east ? x : box.x1 + 1;
    const top = north ? y : box.y0;
    const bottom = south ? y : box.y1 + 1;
    let held = handle;
    if (left > right) {
        held = west ? held.replace('w', 'e') : held.replace('e', 'w');
    }
    if (top > bottom) {
        held = north ? held.replace('n', 's') : held.replace('s', 'n');
    }
    return { box: { ...box, ...boxBetween(left, top, right, bottom, size) }, handle: held };
}

/** The box with one edge moved by `by` pixels, outward if it is positive: for the keyboard.
 * @param {Box} box @param {string} edge n, e, s or w @param {number} by @param {Size} size
 * @returns {Box} */
export function nudgeEdge(box, edge, by, { width, height }) {
    const next = { ...box };
    const least = LEAST_SIDE - 1;
    if (edge === 'w') next.x0 = within(box.x0 - by, 0, box.x1 - least);
    if (edge === 'e') next.x1 = within(box.x1 + by, box.x0 + least, width - 1);
    if (edge === 'n') next.y0 = within(box.y0 - by, 0, box.y1 - least);
    if (edge === 's') next.y1 = within(box.y1 + by, box.y0 + least, height - 1);
    return next;
}

/** Where the handles of a box are, {handle: [x, y]}.
 * @param {Box} box @returns {{[handle: string]: [number, number]}} */
export function handlePoints(box) {
    const left = box.x0;
    const right = box.x1 + 1;
    const top = box.y0;
    const bottom = box.y1 + 1;
    const middle = (left + right) / 2;
    const centre = (top + bottom) / 2;
    return {
        nw: [left, top], n: [middle, top], ne: [right, top], e: [right, centre],
        se: [right, bottom], s: [middle, bottom], sw: [left, bottom], w: [left, centre],
    };
}

/** The handle of a box within `reach` of (x, y), or ''. Along its whole length an edge is a handle
 * too, but not inside a box so small that nothing of it would be left to move it by.
 * @param {Box} box @param {number} x @param {number} y @param {number} reach */
export function handleAt(box, x, y, reach) {
    const points = handlePoints(box);
    const corner = HANDLES.slice(0, 4).find((handle) =>
        Math.hypot(x - points[handle][0], y - points[handle][1]) <= reach);
    if (corner) {
        return corner;
    }
    const alongX = x >= box.x0 && x <= box.x1 + 1;
    const alongY = y >= box.y0 && y <= box.y1 + 1;
    const inner = (/** @type {number} */ side) => Math.min(reach, side / 4);
    const near = (/** @type {number} */ v, /** @type {number} */ edge,
        /** @type {number} */ outward, /** @type {number} */ side) =>
        (v - edge) * outward <= reach && (edge - v) * outward <= inner(side);
    const w = box.x1 - box.x0 + 1;
    const h = box.y1 - box.y0 + 1;
    if (alongX && near(y, box.y0, -1, h)) return 'n';
    if (alongX && near(y, box.y1 + 1, 1, h)) return 's';
    if (alongY && near(x, box.x0, -1, w)) return 'w';
    if (alongY && near(x, box.x1 + 1, 1, w)) return 'e';
    return '';
}

/** What lies at (x, y): {index, part}, where the part is a handle or 'inside'; null for nothing.
 * The handles of the selected box come first, then the smallest box that contains the point, then
 * the edges of the others, so that a small box in a large one can be taken.
 * @param {Box[]} boxes @param {number} selected -1: none @param {number} x @param {number} y
 * @param {number} reach how near is near, in pixels of the picture */
export function boxAt(boxes, selected, x, y, reach) {
    const own = boxes[selected] && handleAt(boxes[selected], x, y, reach);
    if (own) {
        return { index: selected, part: own };
    }
    let best = -1;
    boxes.forEach((box, index) => {
        const inside = x >= box.x0 && x <= box.x1 + 1 && y >= box.y0 && y <= box.y1 + 1;
        if (inside && (best < 0 || areaOf(box) < areaOf(boxes[best]) ||
                       (areaOf(box) === areaOf(boxes[best]) && index === selected))) {
            best = index;
        }
    });
    if (best >= 0) {
        return { index: best, part: 'inside' };
    }
    for (let index = boxes.length - 1; index >= 0; index--) {
        const part = handleAt(boxes[index], x, y, reach);
        if (part) {
            return { index, part };
        }
    }
    return null;
}
