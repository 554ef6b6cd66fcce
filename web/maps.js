/* How the class map is made, as far as the page lets the user choose it: the mirrored image and
 * other input sizes averaged in, and the map of another layer joined with it. The server does the
 * work; this names the choices, makes the query parameters and estimates the time. */

const SCALES = ['1', '1,1.43', '0.71,1,1.43'];
const LAYER_METHODS = [['layercam', 'LayerCAM'], ['gradcam', 'Grad-CAM'], ['gradcam++', 'Grad-CAM++']];

/* A model's own rule, from its `cam`. `scales` is a text as in the query. */
export function ownMap(cam = {}) {
    return {
        flip: cam.map_flip === true,
        scales: Array.isArray(cam.map_scales) ? cam.map_scales.join(',') : '1',
        layer: cam.map_layer ?? 'none',
    };
}

/* The rule with the changes of the user, of which those that are null or not there change nothing. */
export function changedMap(own, changes) {
    const given = Object.entries(changes).filter(([, value]) => value !== null);
    return { ...own, ...Object.fromEntries(given) };
}

/* The query parameters of what differs from the model's own rule. */
export function mapQuery(own, changes) {
    const map = changedMap(own, changes);
    const query = {};
    for (const name of ['flip', 'scales', 'layer']) {
        if (map[name] !== own[name]) {
            query[`map_${name}`] = String(map[name]);
        }
    }
    return query;
}

/* The input sizes of the scales: each side is the length nearest to the scaled one that differs
 * from the model's by a multiple of 16. Two scales may have the same size. */
function sizesOf({ width, height }, scales) {
    const side = (n, scale) => n + 16 * Math.round((scale - 1) * n / 16);
    const sizes = scales.split(',').map(Number).map((s) => [side(width, s), side(height, s)]);
    return [...new Map(sizes.map((size) => [size.join(), size])).values()];
}

/* How long the map takes, as a multiple of the image alone, estimated as the server does: by
 * pixels; the scores are always those of the image as it is; the map of a layer takes two runs of
 * the network above it for each class. */
export function mapCost(model, map, classes) {
    const whole = model.width * model.height;
    let pixels = whole;
    for (const [width, height] of sizesOf(model, map.scales)) {
        const area = Math.max(width, 16) * Math.max(height, 16);
        pixels += (area === whole ? 0 : area) + (map.flip ? area : 0);
    }
    return pixels / whole * (map.layer === 'none' ? 1 : 1 + 2 * classes);
}

const listed = (scales) => scales.split(',').join(', ').replace(/, ([^,]*)$/, ' and $1');

/* What the user may choose, as [value, text]; the model's own scales are among them. */
export function scaleChoices(own) {
    const all = SCALES.includes(own.scales) ? SCALES : [...SCALES, own.scales];
    return all.map((scales) => [scales, listed(scales)]);
}

/* Only the layer that the model was loaded with; none if it was loaded without. */
export function layerChoices(own) {
    const name = own.layer.replace(/^[^:]*:/, '');
    return own.layer === 'none' ? []
        : [['none', 'last one alone'],
            ...LAYER_METHODS.map(([method, text]) => [`${method}:${name}`, `${name}, ${text}`])];
}

/* A few words about a rule. */
export function describeMap(map) {
    const parts = [
        ...(map.flip ? ['mirrored'] : []),
        ...(map.scales === '1' ? [] : [`scales ${listed(map.scales)}`]),
        ...(map.layer === 'none' ? [] : [map.layer]),
    ];
    return parts.join(', ') || 'of the image as it is';
}
