/* Parts the foreground of a map into objects at the saddles between its peaks, for the page's
 * live boxes: what engine/wsol/objects.c does, step by step, so that a box shown here is the
 * box that the server gives with boxes=objects. The file there explains the algorithm.
 *
 * These functions are pure; tests/browser/objects.test.mjs compares them with the server. */

/**
 * A box, both ends inclusive.
 * @typedef {{x0: number, y0: number, x1: number, y1: number}} Box
 * @typedef {Box & {parent: number, area: number, peak: number}} Basin
 */

/** The rule in a model's `cam`; the defaults are those of adl_object_rule_used(). @param {any} [cam] */
export function objectRule({ object_prominence: prominence, object_area: area } = {}) {
    const defaults = { prominence: 0.1, area: 0.1 };
    const rule = { prominence: prominence ?? 0.1, area: area ?? 0.1 };
    return rule.prominence === 0 && rule.area === 0 ? defaults : rule;
}

const TOP = 65535;
const MOST = 1000;

/** The map reduced to 16 bits. @param {Float64Array} map */
function levelsOf(map) {
    let greatest = 0;
    for (const v of map) {
        greatest = v > greatest ? v : greatest;
    }
    /** @param {number} v */
    const scaled = (v) => Math.trunc((v / greatest) * TOP);
    return Uint16Array.from(map, (v) => (v > 0 && Number.isFinite(greatest) ? scaled(v) : 0));
}

/** The foreground pixels, the highest first, those of one level row by row.
 * @param {Uint16Array} levels @param {ArrayLike<number>} mask */
function inOrder(levels, mask) {
    const next = new Uint32Array(TOP + 1);
    let count = 0;
    for (let i = 0; i < levels.length; i++) {
        next[levels[i]] += mask[i];
    }
    for (let level = TOP; level >= 0; level--) {
        const first = count;
        count += next[level];
        next[level] = first;
    }
    const order = new Uint32Array(count);
    for (let i = 0; i < levels.length; i++) {
        if (mask[i]) {
            order[next[levels[i]]++] = i;
        }
    }
    return order;
}

/** @param {Basin[]} basins @param {number} basin */
function rootOf(basins, basin) {
    let at = basin;
    while (basins[at].parent !== at) {
        at = basins[at].parent = basins[basins[at].parent].parent;
    }
    return at;
}

/** Joins the basin `low` to `high`, which has the higher peak.
 * @param {Basin[]} basins @param {number} high @param {number} low */
function join(basins, high, low) {
    const to = basins[high];
    const from = basins[low];
    from.parent = high;
    to.area += from.area;
    to.x0 = Math.min(to.x0, from.x0);
    to.y0 = Math.min(to.y0, from.y0);
    to.x1 = Math.max(to.x1, from.x1);
    to.y1 = Math.max(to.y1, from.y1);
}

/** Joins the basins that meet in a pixel of this level, except those that are objects.
 * @param {Basin[]} basins @param {number[]} roots @param {number} level
 * @param {number} steepness @param {number} leastArea */
function joinAround(basins, roots, level, steepness, leastArea) {
    for (let i = 0; i < roots.length; i++) {
        for (let k = i + 1; k < roots.length; k++) {
            const a = rootOf(basins, roots[i]);
            const b = rootOf(basins, roots[k]);
            const high = Math.min(a, b);
            const low = Math.max(a, b);
            const apart = level <= steepness * basins[low].peak &&
                Math.min(basins[low].area, basins[high].area) >= leastArea;
            if (high !== low && !apart) {
                join(basins, high, low);
            }
        }
    }
}

/** The watershed; returns the basins, of which those that are their own parents remained.
 * @param {Uint16Array} levels @param {ArrayLike<number>} mask @param {number} width
 * @param {number} height @param {number} steepness @param {number} leastArea */
function flood(levels, mask, width, height, steepness, leastArea) {
    const labels = new Uint32Array(levels.length);
    /** @type {Basin[]} */
    const basins = [];
    for (const pixel of inOrder(levels, mask)) {
        const x = pixel % width;
        const y = (pixel - x) / width;
        /** @type {number[]} */
        const roots = [];
        let highest = 0;
        let best = -1;
        for (let ny = Math.max(y - 1, 0); ny <= Math.min(y + 1, height - 1); ny++) {
            for (let nx = Math.max(x - 1, 0); nx <= Math.min(x + 1, width - 1); nx++) {
                const at = ny * width + nx;
                if (labels[at] === 0) {
                    continue;
                }
                const root = rootOf(basins, labels[at] - 1);
                if (!roots.includes(root)) {
                    roots.push(root);
                }
                if (levels[at] > best) {
                    best = levels[at];
                    highest = root;
                }
            }
        }
        let basin = basins.length;
        if (roots.length === 0) {
            basins.push({ parent: basin, area: 0, x0: x, y0: y, x1: x, y1: y,
                peak: levels[pixel] });
        } else {
            roots.sort((a, b) => a - b);
            joinAround(basins, roots, levels[pixel], steepness, leastArea);
            basin = rootOf(basins, highest);
        }
        const b = basins[basin];
        b.area++;
        b.x0 = Math.min(b.x0, x);
        b.y0 = Math.min(b.y0, y);
        b.x1 = Math.max(b.x1, x);
        b.y1 = Math.max(b.y1, y);
        labels[pixel] = basin + 1;
    }
    return basins;
}

/**
 * The boxes of the objects in pixels of the map, the largest object first. `map` has the values
 * before they were clipped to 0..1, `mask` is 1 in the foreground.
 * @param {Float64Array} map @param {ArrayLike<number>} mask @param {number} width
 * @param {number} height @param {{prominence: number, area: number}} rule
 * @returns {Box[]}
 */
export function objectBoxes(map, mask, width, height, { prominence, area }) {
    const leastArea = area * height * width;
    const basins = flood(levelsOf(map), mask, width, height, 1 - prominence, leastArea);
    return basins
        .filter((basin, index) => basin.parent === index)
        .sort((a, b) => b.area - a.area || a.parent - b.parent)
        .slice(0, MOST)
        .filter((basin, index) => index === 0 || basin.area >= leastArea / 2)
        .map(({ x0, y0, x1, y1 }) => ({ x0, y0, x1, y1 }));
}
