/* Colour maps of the heat. Each is perceptually uniform: equal steps of the value are equal steps of
 * lightness, so nothing in the picture of a map is there by its colours alone. inferno, magma and
 * viridis are by van der Walt and Smith (released as CC0), cividis by Nunez, Anderton and Renslow
 * (2018), made so that it looks the same with and without red-green blindness. Some of the 256
 * published colours are stored, evenly spaced, with linear interpolation between them.
 * tests/browser/colours.test.mjs checks how lightness grows. */

/** @type {Record<string, string>} */
const KNOTS = {
    inferno: '000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b ' +
        'c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4',
    viridis: '440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725',
    magma: '000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf',
    cividis: '00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838',
};

export const colourNames = Object.keys(KNOTS);

/** @type {Map<string, Uint8ClampedArray>} */
const tables = new Map();

/** The 256 colours of a map, three bytes each; those of inferno for an unknown name.
 * @param {string} name */
export function colourTable(name) {
    const known = Object.hasOwn(KNOTS, name) ? name : 'inferno';
    let table = tables.get(known);
    if (!table) {
        table = new Uint8ClampedArray(256 * 3);
        const knots = KNOTS[known].split(' ').map((hex) =>
            [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
        for (let i = 0; i < 256; i++) {
            const place = i / 255 * (knots.length - 1);
            const knot = Math.min(Math.floor(place), knots.length - 2);
            for (let c = 0; c < 3; c++) {
                table[i * 3 + c] = knots[knot][c] + (knots[knot + 1][c] - knots[knot][c]) * (place - knot);
            }
        }
        tables.set(known, table);
    }
    return table;
}

/** How opaque a value above the threshold is, and at most one below. */
const ABOVE = 0.6;
const BELOW = 0.35;

/**
 * The opacity of a value in 0..1: what lies below the level fades towards nothing, so that the
 * photograph remains visible there. `glow`, 0 to 1, weakens all: the heat of a class that is hardly
 * seen stays dark.
 * @param {number} v @param {number} level @param {number} glow
 */
export function opacityOf(v, level, glow) {
    const alpha = v >= level ? ABOVE + (1 - ABOVE) * v
        : BELOW * (level > 0 ? v / level : 1) ** 1.5;
    return alpha * glow;
}

/** @param {number} r @param {number} g @param {number} b @param {number} a all 0 to 255 */
const packed = (r, g, b, a) => (a << 24 | b << 16 | g << 8 | r) >>> 0;

/**
 * The pixels, as 32-bit words of RGBA in memory's order, of the 256 values of a map.
 * @param {string} name @param {number} level @param {number} glow
 */
export function heatWords(name, level, glow) {
    const table = colourTable(name);
    const words = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
        const colour = Math.round(i * glow) * 3;
        const alpha = Math.round(255 * opacityOf(i / 255, level, Math.min(1, 0.15 + glow)));
        words[i] = packed(table[colour], table[colour + 1], table[colour + 2], alpha);
    }
    return words;
}

/** The two colours of a difference: more in the first (orange), more in the second (blue). */
export const DIFFERENCE = { first: [255, 128, 20], second: [30, 140, 255] };

/** The word of a difference in -1..1 of two maps; none is transparent. @param {number} d */
export function differenceWord(d) {
    const [r, g, b] = d > 0 ? DIFFERENCE.first : DIFFERENCE.second;
    return packed(r, g, b, Math.round(255 * Math.min(1, Math.abs(d) * 1.25)));
}
