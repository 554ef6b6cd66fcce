/* From a class map to boxes.
 *
 * This is a second implementation of what the server does in engine/wsol
 * (scoremap.c, contour.c, boxes.c), because the page redraws boxes at every step of the
 * threshold slider, which must not take a request each. It follows the same rules, so a
 * box shown here is the box that the server gives for that threshold:
 *
 * 1. The h x w map is enlarged to the network's input size with OpenCV's bicubic
 *    interpolation and scaled or clipped to 0..1 (scoreMap).
 * 2. It is reduced to bytes, and pixels above trunc(threshold * largest byte) are the
 *    foreground (foreground).
 * 3. The foreground falls into 8-connected components; the largest is the one whose outer
 *    border encloses the greatest area in the sense of OpenCV's contourArea
 *    (connectedComponents, outlineArea, largestComponent).
 * 4. Bounding boxes are scaled to the image, so that they cover the pixels that the map's
 *    pixels cover (scaleBox).
 *
 * The objects of a region are found in objects.js.
 *
 * These functions are pure; tests/browser/boxes.test.mjs compares them with OpenCV and the
 * reference evaluation code, tests/browser/server.test.mjs with the server. */

/**
 * @typedef {import('./objects.js').Box} Box
 * @typedef {import('./store.js').Heatmap} Heatmap
 * @typedef {import('./store.js').ScoredBox} ScoredBox
 * @typedef {ArrayLike<number> & Iterable<number>} Values
 * @typedef {Box & {label: number}} Component
 * @typedef {{components: Component[], labels: Int32Array}} Components
 */

const f32 = Math.fround;

/**
 * For each of `to` output positions: the indices and weights of the four input samples of a cubic
 * convolution with A = -0.75, as OpenCV uses it (Keys, 1981). Positions are those of pixel centres.
 * Every step is rounded to float, as the server's are, so that the enlarged map is the same.
 * @param {number} from @param {number} to
 */
function cubicTaps(from, to) {
    const A = -0.75;
    const index = new Int32Array(to * 4);
    const weight = new Float64Array(to * 4);
    const scale = 1 / (to / from);
    /** @param {number} u */
    const outer = (u) => f32(f32(f32(f32(f32(f32(A * u) - 5 * A) * u) + 8 * A) * u) - 4 * A);
    /** @param {number} u */
    const inner = (u) => f32(f32(f32(f32(f32(A + 2) * u) - (A + 3)) * u) * u) + 1;
    for (let d = 0; d < to; d++) {
        const source = f32((d + 0.5) * scale - 0.5);
        const left = Math.floor(source);
        const x = f32(source - left);
        const taps = [outer(f32(x + 1)), f32(inner(x)), f32(inner(f32(1 - x)))];
        taps.push(f32(f32(f32(1 - taps[0]) - taps[1]) - taps[2]));
        for (let k = 0; k < 4; k++) {
            index[d * 4 + k] = Math.min(Math.max(left - 1 + k, 0), from - 1);
            weight[d * 4 + k] = taps[k];
        }
    }
    return { index, weight };
}

/**
 * Bicubic interpolation of a width x height map (row by row) without antialiasing, with
 * replicated edges. Separable: rows first, then columns.
 * @param {Values} map @param {number} width @param {number} height
 * @param {number} outWidth @param {number} outHeight
 */
export function resizeBicubic(map, width, height, outWidth, outHeight) {
    const across = cubicTaps(width, outWidth);
    const down = cubicTaps(height, outHeight);
    const rows = new Float64Array(height * outWidth);
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < outWidth; x++) {
            let sum = 0;
            for (let k = x * 4; k < x * 4 + 4; k++) {
                sum += map[y * width + across.index[k]] * across.weight[k];
            }
            rows[y * outWidth + x] = sum;
        }
    }
    const out = new Float64Array(outWidth * outHeight);
    for (let y = 0; y < outHeight; y++) {
        for (let x = 0; x < outWidth; x++) {
            let sum = 0;
            for (let k = y * 4; k < y * 4 + 4; k++) {
                sum += rows[down.index[k] * outWidth + x] * down.weight[k];
            }
            out[y * outWidth + x] = sum;
        }
    }
    return out;
}

/**
 * Scales a map to 0..1 in place. A constant map, or one with a value that is not finite,
 * becomes all zeros.
 * @template {number[] | Float64Array} T
 * @param {T} map
 * @returns {T}
 */
export function normalise(map) {
    let min = Infinity;
    let max = -Infinity;
    let finite = map.length > 0;
    for (const v of map) {
        finite = finite && Number.isFinite(v);
        min = Math.min(min, v);
        max = Math.max(max, v);
    }
    if (!finite || min === max) {
        return /** @type {T} */ (map.fill(0));
    }
    for (let i = 0; i < map.length; i++) {
        map[i] = (map[i] - min) / (max - min);
    }
    return map;
}

/**
 * A class map as the server sent it, at another size and in 0..1. `heatmap` has width, height
 * and data; with a map rule other than the reference's also raw, the values before they were
 * clipped to 0..1, which need no more than the clip after enlarging. A constant map stays
 * constant: otherwise normalising would stretch its rounding errors to the full range.
 * @param {Heatmap} heatmap @param {number} outWidth @param {number} outHeight
 */
export function scoreMap(heatmap, outWidth, outHeight) {
    return clip(unclippedMap(heatmap, outWidth, outHeight));
}

/* Values have six digits in JSON. */
const DIGITS = 4e-6;

/**
 * The same before it is clipped to 0..1, which tells peaks apart that the clip makes equal.
 * @param {Heatmap} heatmap @param {number} outWidth @param {number} outHeight
 * @returns {Float64Array}
 */
export function unclippedMap({ width, height, data, raw }, outWidth, outHeight) {
    const map = (raw ?? data).flat();
    if (map.every((v) => v === map[0])) {
        return new Float64Array(outWidth * outHeight);
    }
    const large = resizeBicubic(map, width, height, outWidth, outHeight);
    if (!raw) {
        return normalise(large);
    }
    /* The greatest value is 1 but for the digits that JSON leaves out, and a threshold is a fraction
     * of it. */
    const greatest = large.reduce((a, b) => Math.max(a, b), -Infinity);
    return Math.abs(greatest - 1) < DIGITS ? large.map((v) => v / greatest) : large;
}

/** @param {Float64Array} map */
export function clip(map) {
    return map.map((v) => Math.min(Math.max(v, 0), 1));
}

/**
 * The mask of the pixels that are above the threshold, a fraction of the map's maximum;
 * both are compared as bytes, as in the reference evaluation code.
 * @param {ArrayLike<number>} map @param {number} threshold
 */
export function foreground(map, threshold) {
    let largest = 0;
    const mask = new Uint8Array(map.length);
    for (let i = 0; i < map.length; i++) {
        mask[i] = Math.trunc(map[i] * 255);
        largest = Math.max(largest, mask[i]);
    }
    const limit = Math.trunc(threshold * largest);
    for (let i = 0; i < mask.length; i++) {
        mask[i] = mask[i] > limit ? 1 : 0;
    }
    return mask;
}

const MOST_BOXES = 1000; /* as in the server: ADL_LIMIT_BOXES */

/**
 * The 8-connected components of the 1s, in raster order of their first pixels, each with
 * its bounding box (both ends inclusive), and the label of every pixel (0: background, 1
 * and up: component). Flood fill with an explicit stack.
 * @param {ArrayLike<number>} mask @param {number} width @param {number} height
 * @returns {Components}
 */
export function connectedComponents(mask, width, height) {
    /* With a margin of background, no neighbour has to be looked for outside. */
    const stride = width + 2;
    const open = new Uint8Array(stride * (height + 2));
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
            open[(y + 1) * stride + x + 1] = mask[y * width + x] ? 1 : 0;
        }
    }
    const labels = new Int32Array(mask.length);
    const stack = new Int32Array(mask.length);
    /** @type {Component[]} */
    const components = [];
    for (let first = 0; first < mask.length; first++) {
        const start = first + stride + 1 + 2 * Math.trunc(first / width);
        if (!open[start]) {
            continue;
        }
        const label = components.length + 1;
        let [x0, y0, x1, y1] = [width, height, 0, 0];
        let depth = 1;
        stack[0] = start;
        open[start] = 0;
        while (depth > 0) {
            const at = stack[--depth];
            const row = Math.trunc(at / stride);
            const x = at - row * stride - 1;
            const y = row - 1;
            labels[y * width + x] = label;
            if (x < x0) x0 = x;
            if (x > x1) x1 = x;
            if (y < y0) y0 = y;
            if (y > y1) y1 = y;
            for (let line = at - stride; line <= at + stride; line += stride) {
                for (let next = line - 1; next <= line + 1; next++) {
                    if (open[next]) {
                        open[next] = 0;
                        stack[depth++] = next;
                    }
                }
            }
        }
        components.push({ label, x0, y0, x1, y1 });
    }
    return { components, labels };
}

/**
 * The area of the polygon through the pixel centres of a component's outer border, which
 * is what OpenCV's contourArea gives for it; holes count as inside. Each square between
 * four neighbouring centres contributes 1 if all four are inside, 1/2 if three are, and 0
 * otherwise. The inside is found as the complement of the outside, which is flooded from
 * a corner of a frame one pixel wide.
 * @param {ArrayLike<number>} labels @param {number} width @param {Component} component
 */
export function outlineArea(labels, width, component) {
    const { x0, y0, x1, y1, label } = component;
    /* The frame, and a margin around it that counts as visited. */
    const w = x1 - x0 + 5;
    const h = y1 - y0 + 5;
    const inside = new Uint8Array(w * h);
    const blocked = new Uint8Array(w * h).fill(1);
    for (let y = 1; y < h - 1; y++) {
        inside.fill(1, y * w + 1, y * w + w - 1);
        blocked.fill(0, y * w + 1, y * w + w - 1);
    }
    for (let y = y0; y <= y1; y++) {
        for (let x = x0; x <= x1; x++) {
            if (labels[y * width + x] === label) {
                blocked[(y - y0 + 2) * w + x - x0 + 2] = 1;
            }
        }
    }
    const stack = new Int32Array(w * h);
    let depth = 1;
    stack[0] = w + 1;
    blocked[w + 1] = 1;
    inside[w + 1] = 0;
    while (depth > 0) {
        const at = stack[--depth];
        for (let k = 0; k < 4; k++) {
            const next = at + (k < 2 ? 2 * k - 1 : (2 * k - 5) * w);
            if (!blocked[next]) {
                blocked[next] = 1;
                inside[next] = 0;
                stack[depth++] = next;
            }
        }
    }
    let area = 0;
    for (let y = 1; y < h - 2; y++) {
        for (let x = 1; x < w - 2; x++) {
            const at = y * w + x;
            const filled = inside[at] + inside[at + 1] + inside[at + w] + inside[at + w + 1];
            area += filled === 4 ? 1 : filled === 3 ? 0.5 : 0;
        }
    }
    return area;
}

/**
 * The component with the greatest outline area; ties go to the last in raster order. Null
 * if there is none. A component whose bounding box is smaller than the best area so far is
 * skipped without computing its outline.
 * @param {Components} found @param {number} width
 * @returns {Component | null}
 */
export function largestComponent({ components, labels }, width) {
    let best = null;
    let bestArea = -1;
    for (const component of components) {
        const bound = (component.x1 - component.x0) * (component.y1 - component.y0);
        if (bound < bestArea) {
            continue;
        }
        const area = outlineArea(labels, width, component);
        if (area >= bestArea) {
            best = component;
            bestArea = area;
        }
    }
    return best;
}

/**
 * The mean of the map inside a box, which is the box's score.
 * @param {ArrayLike<number>} map @param {number} width @param {Box} box
 */
export function meanInside(map, width, box) {
    let sum = 0;
    for (let y = box.y0; y <= box.y1; y++) {
        for (let x = box.x0; x <= box.x1; x++) {
            sum += map[y * width + x];
        }
    }
    return sum / ((box.x1 - box.x0 + 1) * (box.y1 - box.y0 + 1));
}

/**
 * All components, that of the greatest outline area first; of equal ones the last in raster
 * order.
 * @param {Components} found @param {number} width
 * @returns {Component[]}
 */
export function componentsBySize({ components, labels }, width) {
    return components
        .map((component) => ({ component, area: outlineArea(labels, width, component) }))
        .sort((a, b) => b.area - a.area || b.component.label - a.component.label)
        .map(({ component }) => component);
}

/** @type {WeakMap<object, {threshold: number, found: Components}>} */
const lastRegions = new WeakMap();

/**
 * The regions of a map above a threshold, which boxes and their outlines are both made of.
 * @param {ArrayLike<number> & object} map @param {number} width @param {number} height
 * @param {number} threshold
 */
export function regionsOf(map, width, height, threshold) {
    let last = lastRegions.get(map);
    if (last?.threshold !== threshold) {
        last = { threshold, found: connectedComponents(foreground(map, threshold), width, height) };
        lastRegions.set(map, last);
    }
    return last.found;
}

/**
 * The boxes of a normalised map: {x0, y0, x1, y1, score} in pixels of the map; of all
 * regions, the largest first, or only of the largest.
 * @param {ArrayLike<number>} map @param {number} width @param {number} height
 * @param {number} threshold @param {boolean} all
 * @returns {ScoredBox[]}
 */
export function boxesFromMap(map, width, height, threshold, all) {
    const found = regionsOf(map, width, height, threshold);
    const largest = all ? null : largestComponent(found, width);
    const chosen = all ? componentsBySize(found, width).slice(0, MOST_BOXES)
        : largest ? [largest] : [];
    return chosen
        .map(({ x0, y0, x1, y1 }) => ({ x0, y0, x1, y1 }))
        .map((box) => ({ ...box, score: meanInside(map, width, box) }));
}

/** The intersection over union of two boxes. @param {Box} a @param {Box} b */
export function overlap(a, b) {
    const w = Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0) + 1;
    const h = Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0) + 1;
    const common = w > 0 && h > 0 ? w * h : 0;
    /** @param {Box} box */
    const area = ({ x0, y0, x1, y1 }) => (x1 - x0 + 1) * (y1 - y0 + 1);
    return common / (area(a) + area(b) - common);
}

/** The IoU of a box with that of `others` that it overlaps most; null if there are none.
 * @param {Box} box @param {Box[]} others */
export function bestOverlap(box, others) {
    return others.length === 0 ? null : Math.max(...others.map((other) => overlap(box, other)));
}

/**
 * Scales a box of a width x height map to an image of another size: the smallest box that
 * contains every image pixel that the map's box touches.
 * @template {Box} T
 * @param {T} box @param {number} width @param {number} height
 * @param {number} imageWidth @param {number} imageHeight
 * @returns {T}
 */
export function scaleBox(box, width, height, imageWidth, imageHeight) {
    /** @param {number} v @param {number} from @param {number} to */
    const first = (v, from, to) => Math.floor((v * to) / from);
    /** @param {number} v @param {number} from @param {number} to */
    const last = (v, from, to) => Math.ceil(((v + 1) * to) / from) - 1;
    return {
        ...box,
        x0: first(box.x0, width, imageWidth),
        y0: first(box.y0, height, imageHeight),
        x1: last(box.x1, width, imageWidth),
        y1: last(box.y1, height, imageHeight),
    };
}

/**
 * The outline of the regions above `level`, as line segments, four numbers each (xa, ya, xb, yb), in
 * pixels of the map (0 is the left edge of the first pixel). Marching squares, with a border of
 * zeros so that regions at the edge have a closed outline. `kept`, if given, says for each pixel
 * whether its region is to have an outline; other regions are passed over.
 * @param {ArrayLike<number>} map @param {number} width @param {number} height
 * @param {number} level @param {(pixel: number) => boolean} [kept]
 * @returns {number[]}
 */
export function levelLines(map, width, height, level, kept) {
    /** @type {number[]} */
    const lines = [];
    const stride = width + 2;
    const padded = new Float64Array(stride * (height + 2));
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
            const v = map[y * width + x];
            padded[(y + 1) * stride + x + 1] = v > level && kept && !kept(y * width + x) ? 0 : v;
        }
    }
    /** @param {number} x */
    const inX = (x) => Math.min(Math.max(x - 0.5, 0), width);
    /** @param {number} y */
    const inY = (y) => Math.min(Math.max(y - 0.5, 0), height);
    /** @param {number} p @param {number} q */
    const cut = (p, q) => (level - p) / (q - p);
    for (let y = 0; y <= height; y++) {
        for (let x = 0; x <= width; x++) {
            const at = y * stride + x;
            const a = padded[at];
            const b = padded[at + 1];
            const d = padded[at + stride];
            const c = padded[at + stride + 1];
            const above = Number(a > level) + Number(b > level) + Number(c > level) +
                Number(d > level);
            if (above === 0 || above === 4) {
                continue;
            }
            const first = lines.length;
            if (a > level !== b > level) lines.push(inX(x + cut(a, b)), inY(y));
            if (b > level !== c > level) lines.push(inX(x + 1), inY(y + cut(b, c)));
            if (c > level !== d > level) lines.push(inX(x + cut(d, c)), inY(y + 1));
            if (d > level !== a > level) lines.push(inX(x), inY(y + cut(a, d)));
            lines.length -= (lines.length - first) % 4;
        }
    }
    return lines;
}

/**
 * The boxes with the confidence that the server's answer gives to the same box, if it gives one to
 * each of them; otherwise the boxes as they are. The server's confidence belongs to its own
 * threshold, so boxes of another one are not among its boxes.
 * @param {ScoredBox[]} boxes @param {ScoredBox[]} answered
 * @returns {ScoredBox[]}
 */
export function withConfidence(boxes, answered) {
    const sides = /** @type {const} */ (['x0', 'y0', 'x1', 'y1']);
    /** @param {Box} a @param {Box} b */
    const same = (a, b) => sides.every((key) => a[key] === b[key]);
    const known = boxes.map((box) => answered.find((other) => same(box, other))?.confidence);
    return known.includes(undefined) ? boxes
        : boxes.map((box, index) => ({ ...box, confidence: known[index] }));
}

