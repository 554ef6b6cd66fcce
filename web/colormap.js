/* The colours of the heatmap: inferno, perceptually uniform and readable for
 * colour-blind people (van der Walt and Smith, released as CC0), kept as every
 * fifteenth of its 256 colours. The straight lines between them stay within
 * six steps of 255 of the original. */

const KNOTS = (
    '000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b ' +
    'c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4'
).split(' ');

/* 256 colours of three bytes. */
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

export const COLOURS = buildTable();
