/* From a class map to the display: the arithmetic of heatmap and boxes, and the painting
 * on a canvas.
 *
 * The arithmetic is a second implementation of what the server does in engine/wsol
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
 * These functions are pure; tests/browser/draw.test.mjs compares them with OpenCV and the
 * reference evaluation code. */

/* --- arithmetic ---------------------------------------------------------- */

/* For each of `to` output positions: the indices and weights of the four input samples of
 * a cubic convolution with A = -0.75, as OpenCV uses it (Keys, 1981). Positions are those
 * of pixel centres. */
function cubicTaps(from, to) {
    const A = -0.75;
    const index = new Int32Array(to * 4);
    const weight = new Float64Array(to * 4);
    for (let d = 0; d < to; d++) {
        const source = Math.fround((d + 0.5) * (from / to) - 0.5);
        const left = Math.floor(source);
        const x = source - left;
        const outer = (u) => ((A * u - 5 * A) * u + 8 * A) * u - 4 * A;
        const inner = (u) => ((A + 2) * u - (A + 3)) * u * u + 1;
        const taps = [outer(x + 1), inner(x), inner(1 - x)];
        taps.push(1 - taps[0] - taps[1] - taps[2]);
        for (let k = 0; k < 4; k++) {
            index[d * 4 + k] = Math.min(Math.max(left - 1 + k, 0), from - 1);
            weight[d * 4 + k] = taps[k];
        }
    }
    return { index, weight };
}

/* Bicubic interpolation of a width x height map (row by row) without antialiasing, with
 * replicated edges. Separable: rows first, then columns. */
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

/* Scales a map to 0..1 in place. A constant map, or one with a value that is not finite,
 * becomes all zeros. */
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
        return map.fill(0);
    }
    for (let i = 0; i < map.length; i++) {
        map[i] = (map[i] - min) / (max - min);
    }
    return map;
}

/* A class map as the server sent it, at another size and in 0..1. `heatmap` has width, height
 * and data; with a map rule other than the reference's also raw, the values before they were
 * clipped to 0..1, which need no more than the clip after enlarging. A constant map stays
 * constant: otherwise normalising would stretch its rounding errors to the full range. */
export function scoreMap(heatmap, outWidth, outHeight) {
    return clip(unclippedMap(heatmap, outWidth, outHeight));
}

/* The same before it is clipped to 0..1, which tells peaks apart that the clip makes equal. */
export function unclippedMap({ width, height, data, raw }, outWidth, outHeight) {
    const map = (raw ?? data).flat();
    if (map.every((v) => v === map[0])) {
        return new Float64Array(outWidth * outHeight);
    }
    const large = resizeBicubic(map, width, height, outWidth, outHeight);
    return raw ? large : normalise(large);
}

export function clip(map) {
    return map.map((v) => Math.min(Math.max(v, 0), 1));
}

/* The mask of the pixels that are above the threshold, a fraction of the map's maximum;
 * both are compared as bytes, as in the reference evaluation code. */
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

const AROUND = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [1, -1], [-1, 1], [-1, -1]];

/* The 8-connected components of the 1s, in raster order of their first pixels, each with
 * its bounding box (both ends inclusive), and the label of every pixel (0: background, 1
 * and up: component). Flood fill with an explicit stack. */
export function connectedComponents(mask, width, height) {
    const labels = new Int32Array(mask.length);
    const stack = new Int32Array(mask.length);
    const components = [];
    for (let start = 0; start < mask.length; start++) {
        if (!mask[start] || labels[start]) {
            continue;
        }
        const label = components.length + 1;
        const box = { label, x0: width, y0: height, x1: 0, y1: 0 };
        let depth = 0;
        stack[depth++] = start;
        labels[start] = label;
        while (depth > 0) {
            const at = stack[--depth];
            const x = at % width;
            const y = (at - x) / width;
            box.x0 = Math.min(box.x0, x);
            box.x1 = Math.max(box.x1, x);
            box.y0 = Math.min(box.y0, y);
            box.y1 = Math.max(box.y1, y);
            for (const [dx, dy] of AROUND) {
                const nx = x + dx;
                const ny = y + dy;
                const next = ny * width + nx;
                if (nx >= 0 && nx < width && ny >= 0 && ny < height && mask[next] &&
                    !labels[next]) {
                    labels[next] = label;
                    stack[depth++] = next;
                }
            }
        }
        components.push(box);
    }
    return { components, labels };
}

/* The area of the polygon through the pixel centres of a component's outer border, which
 * is what OpenCV's contourArea gives for it; holes count as inside. Each square between
 * four neighbouring centres contributes 1 if all four are inside, 1/2 if three are, and 0
 * otherwise. The inside is found as the complement of the outside, which is flooded from
 * a corner of a frame one pixel wide. */
export function outlineArea(labels, width, component) {
    const w = component.x1 - component.x0 + 3;
    const h = component.y1 - component.y0 + 3;
    const inside = new Uint8Array(w * h).fill(1);
    const own = (x, y) =>
        x > 0 && y > 0 && x < w - 1 && y < h - 1 &&
        labels[(component.y0 + y - 1) * width + component.x0 + x - 1] === component.label;
    const stack = [0];
    inside[0] = 0;
    while (stack.length > 0) {
        const at = stack.pop();
        const x = at % w;
        const y = (at - x) / w;
        for (const [dx, dy] of AROUND.slice(0, 4)) {
            const nx = x + dx;
            const ny = y + dy;
            if (nx >= 0 && nx < w && ny >= 0 && ny < h && inside[ny * w + nx] && !own(nx, ny)) {
                inside[ny * w + nx] = 0;
                stack.push(ny * w + nx);
            }
        }
    }
    let area = 0;
    for (let y = 0; y < h - 1; y++) {
        for (let x = 0; x < w - 1; x++) {
            const at = y * w + x;
            const filled = inside[at] + inside[at + 1] + inside[at + w] + inside[at + w + 1];
            area += filled === 4 ? 1 : filled === 3 ? 0.5 : 0;
        }
    }
    return area;
}

/* The component with the greatest outline area; ties go to the last in raster order. Null
 * if there is none. A component whose bounding box is smaller than the best area so far is
 * skipped without computing its outline. */
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

/* The mean of the map inside a box, which is the box's score. */
export function meanInside(map, width, box) {
    let sum = 0;
    for (let y = box.y0; y <= box.y1; y++) {
        for (let x = box.x0; x <= box.x1; x++) {
            sum += map[y * width + x];
        }
    }
    return sum / ((box.x1 - box.x0 + 1) * (box.y1 - box.y0 + 1));
}

/* All components, that of the greatest outline area first; of equal ones the last in raster
 * order. */
export function componentsBySize({ components, labels }, width) {
    return components
        .map((component) => ({ component, area: outlineArea(labels, width, component) }))
        .sort((a, b) => b.area - a.area || b.component.label - a.component.label)
        .map(({ component }) => component);
}

const MOST_BOXES = 1000; /* as in the server: ADL_LIMIT_BOXES */

/* The boxes of a normalised map: {x0, y0, x1, y1, score} in pixels of the map; of all
 * regions, the largest first, or only of the largest. */
export function boxesFromMap(map, width, height, threshold, all) {
    const found = connectedComponents(foreground(map, threshold), width, height);
    const largest = all ? null : largestComponent(found, width);
    const chosen = all ? componentsBySize(found, width).slice(0, MOST_BOXES)
        : largest ? [largest] : [];
    return chosen
        .map(({ x0, y0, x1, y1 }) => ({ x0, y0, x1, y1 }))
        .map((box) => ({ ...box, score: meanInside(map, width, box) }));
}

/* Scales a box of a width x height map to an image of another size: the smallest box that
 * contains every image pixel that the map's box touches. */
export function scaleBox(box, width, height, imageWidth, imageHeight) {
    const first = (v, from, to) => Math.floor((v * to) / from);
    const last = (v, from, to) => Math.ceil(((v + 1) * to) / from) - 1;
    return {
        ...box,
        x0: first(box.x0, width, imageWidth),
        y0: first(box.y0, height, imageHeight),
        x1: last(box.x1, width, imageWidth),
        y1: last(box.y1, height, imageHeight),
    };
}

/* The outline of the region above `level`, as line segments [xa, ya, xb, yb] in pixels of
 * the map (0 is the left edge of the first pixel). Marching squares, with a border of
 * zeros so that regions at the edge have a closed outline. */
export function levelLines(map, width, height, level) {
    const lines = [];
    const value = (x, y) =>
        x < 0 || y < 0 || x >= width || y >= height ? 0 : map[y * width + x];
    const inX = (x) => Math.min(Math.max(x + 0.5, 0), width);
    const inY = (y) => Math.min(Math.max(y + 0.5, 0), height);
    for (let y = -1; y < height; y++) {
        for (let x = -1; x < width; x++) {
            const a = value(x, y);
            const b = value(x + 1, y);
            const c = value(x + 1, y + 1);
            const d = value(x, y + 1);
            const cut = (p, q) => (level - p) / (q - p);
            const ends = [];
            if (a > level !== b > level) ends.push([inX(x + cut(a, b)), inY(y)]);
            if (b > level !== c > level) ends.push([inX(x + 1), inY(y + cut(b, c))]);
            if (c > level !== d > level) ends.push([inX(x + cut(d, c)), inY(y + 1)]);
            if (d > level !== a > level) ends.push([inX(x), inY(y + cut(a, d))]);
            for (let k = 0; k + 1 < ends.length; k += 2) {
                lines.push([...ends[k], ...ends[k + 1]]);
            }
        }
    }
    return lines;
}

/* --- painting ------------------------------------------------------------ */

/* The colours of the heatmap: inferno (van der Walt and Smith, released as CC0), which is
 * perceptually uniform and readable for colour-blind people. Every fifteenth of its 256
 * colours is stored; linear interpolation between them differs from the original by at
 * most 6 of 255. */
const KNOTS = (
    '000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b ' +
    'c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4'
).split(' ');

/* The table of 256 colours, three bytes each. */
function buildTable() {
    const table = new Uint8ClampedArray(256 * 3);
    const channel = (knot, c) => parseInt(KNOTS[knot].slice(2 * c, 2 * c + 2), 16);
    for (let i = 0; i < 256; i++) {
        const knot = Math.min(Math.floor(i / 15), KNOTS.length - 2);
        const part = (i - knot * 15) / 15;
        for (let c = 0; c < 3; c++) {
            table[i * 3 + c] = channel(knot, c) * (1 - part) + channel(knot + 1, c) * part;
        }
    }
    return table;
}

const COLOURS = buildTable();

/* The boxes with the confidence that the server's answer gives to the same box, if it gives one to
 * each of them; otherwise the boxes as they are. The server's confidence belongs to its own
 * threshold, so boxes of another one are not among its boxes. */
export function withConfidence(boxes, answered) {
    const same = (a, b) => ['x0', 'y0', 'x1', 'y1'].every((key) => a[key] === b[key]);
    const known = boxes.map((box) => answered.find((other) => same(box, other))?.confidence);
    return known.includes(undefined) ? boxes
        : boxes.map((box, index) => ({ ...box, confidence: known[index] }));
}

/* A canvas of the map's size in the colours of the heatmap. Weak pixels are transparent so
 * that the photograph remains visible there. `glow`, 0 to 1, weakens them all: the heat of a
 * class that is hardly seen stays dark. */
export function colourMap(map, width, height, glow = 1) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d');
    const pixels = context.createImageData(width, height);
    for (let i = 0; i < map.length; i++) {
        const v = Math.min(Math.max(map[i], 0), 1) * glow;
        const colour = Math.round(v * 255) * 3;
        pixels.data[i * 4] = COLOURS[colour];
        pixels.data[i * 4 + 1] = COLOURS[colour + 1];
        pixels.data[i * 4 + 2] = COLOURS[colour + 2];
        pixels.data[i * 4 + 3] = 255 * Math.min(1, 0.04 + 1.3 * v);
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
}

/* Draws the bar that explains the colours over the whole canvas. */
export function paintLegend(canvas) {
    canvas.width = 256;
    canvas.height = 1;
    const context = canvas.getContext('2d');
    const pixels = context.createImageData(256, 1);
    for (let i = 0; i < 256; i++) {
        pixels.data.set(COLOURS.subarray(i * 3, i * 3 + 3), i * 4);
        pixels.data[i * 4 + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
}

function paintBox(context, box, label, scale, unit) {
    /* At the edge of the image, the box is moved inward so that its line stays visible. */
    const rim = 2.25 * unit;
    const x = Math.max(box.x0 * scale.x, rim);
    const y = Math.max(box.y0 * scale.y, rim);
    const w = Math.min((box.x1 + 1) * scale.x, context.canvas.width - rim) - x;
    const h = Math.min((box.y1 + 1) * scale.y, context.canvas.height - rim) - y;
    context.lineJoin = 'round';
    context.strokeStyle = 'rgba(0, 0, 0, 0.55)';
    context.lineWidth = 4.5 * unit;
    context.strokeRect(x, y, w, h);
    context.strokeStyle = '#fff';
    context.lineWidth = 2.25 * unit;
    context.strokeRect(x, y, w, h);
    if (!label) {
        return;
    }
    context.font = `600 ${13 * unit}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
    const limit = context.canvas.width;
    const tall = 22 * unit;
    const wide = Math.min(context.measureText(label).width + 14 * unit, limit);
    const left = Math.min(Math.max(x - unit, 0), limit - wide);
    const top = y > tall + 2 * unit ? y - tall - 2 * unit : y + 3 * unit;
    const inset = y > tall + 2 * unit ? 0 : 3 * unit;
    context.fillStyle = 'rgba(10, 12, 16, 0.82)';
    context.beginPath();
    context.roundRect(Math.min(left + inset, limit - wide), top, wide, tall, 5 * unit);
    context.fill();
    context.fillStyle = '#fff';
    context.fillText(label, Math.min(left + inset, limit - wide) + 7 * unit, top + tall / 2 + unit,
        wide - 14 * unit);
}

/* Draws an image and its result over the whole canvas. `heat` is a canvas of colourMap()
 * or null; `lines` are in pixels of `heat`; `boxes` are in pixels of an image of
 * imageWidth x imageHeight and have a `label`; `unit` is the size of a CSS pixel in pixels
 * of the canvas. */
export function paint(canvas, { picture, heat, opacity, lines, boxes, imageWidth, imageHeight,
    unit }) {
    const context = canvas.getContext('2d');
    const { width, height } = canvas;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = 'high';
    context.clearRect(0, 0, width, height);
    context.drawImage(picture, 0, 0, width, height);
    if (heat) {
        context.globalAlpha = opacity;
        context.drawImage(heat, 0, 0, width, height);
        context.globalAlpha = 1;
    }
    if (heat && lines.length > 0) {
        const path = new Path2D();
        const sx = width / heat.width;
        const sy = height / heat.height;
        for (const [xa, ya, xb, yb] of lines) {
            path.moveTo(xa * sx, ya * sy);
            path.lineTo(xb * sx, yb * sy);
        }
        context.strokeStyle = 'rgba(0, 0, 0, 0.4)';
        context.lineWidth = 3 * unit;
        context.stroke(path);
        context.strokeStyle = 'rgba(255, 255, 255, 0.9)';
        context.lineWidth = 1.25 * unit;
        context.stroke(path);
    }
    const scale = { x: width / imageWidth, y: height / imageHeight };
    for (const box of boxes) {
        paintBox(context, box, box.label, scale, unit);
    }
}
