/* How the class map is made, as far as the page lets the user choose it: the mirrored image and
 * other input sizes averaged in, and the map of another layer joined with it. The server does the
 * work; this names the choices, makes the query parameters and estimates the time. */

import { t } from './text.js';

/**
 * How a map is made; `scales` is a text as in the query.
 * @typedef {{flip: boolean, scales: string, layer: string}} MapRule
 * @typedef {import('./state.js').MapChanges} MapChanges
 */

const SCALES = ['1', '1,1.43', '0.71,1,1.43'];
const LAYER_METHODS = [['layercam', 'LayerCAM'], ['gradcam', 'Grad-CAM'], ['gradcam++', 'Grad-CAM++']];

/** A model's own rule, from its `cam`. @param {any} [cam] @returns {MapRule} */
export function ownMap(cam = {}) {
    return {
        flip: cam.map_flip === true,
        scales: Array.isArray(cam.map_scales) ? cam.map_scales.join(',') : '1',
        layer: cam.map_layer ?? 'none',
    };
}

/**
 * The rule with the changes of the user, of which those that are null or not there change nothing.
 * @param {MapRule} own @param {Partial<MapChanges>} changes
 * @returns {MapRule}
 */
export function changedMap(own, changes) {
    const given = Object.entries(changes).filter(([, value]) => value !== null);
    return { ...own, ...Object.fromEntries(given) };
}

/**
 * The query parameters of what differs from the model's own rule.
 * @param {MapRule} own @param {Partial<MapChanges>} changes
 */
export function mapQuery(own, changes) {
    const map = changedMap(own, changes);
    /** @type {Record<string, string>} */
    const query = {};
    for (const name of /** @type {const} */ (['flip', 'scales', 'layer'])) {
        if (map[name] !== own[name]) {
            query[`map_${name}`] = String(map[name]);
        }
    }
    return query;
}

/**
 * The input sizes of the scales: each side is the length nearest to the scaled one that differs
 * from the model's by a multiple of 16. Two scales may have the same size.
 * @param {{width: number, height: number}} model @param {string} scales
 * @returns {[number, number][]}
 */
function sizesOf({ width, height }, scales) {
    /** @param {number} n @param {number} scale */
    const side = (n, scale) => n + 16 * Math.round((scale - 1) * n / 16);
    const sizes = scales.split(',').map(Number)
        .map((s) => /** @type {[number, number]} */ ([side(width, s), side(height, s)]));
    return [...new Map(sizes.map((size) => [size.join(), size])).values()];
}

/**
 * How long the map takes, as a multiple of the image alone, estimated as the server does: by
 * pixels; the scores are always those of the image as it is; the map of a layer takes two runs of
 * the network above it for each class.
 * @param {{width: number, height: number}} model @param {MapRule} map @param {number} classes
 */
export function mapCost(model, map, classes) {
    const whole = model.width * model.height;
    let pixels = whole;
    for (const [width, height] of sizesOf(model, map.scales)) {
        const area = Math.max(width, 16) * Math.max(height, 16);
        pixels += (area === whole ? 0 : area) + (map.flip ? area : 0);
    }
    return pixels / whole * (map.layer === 'none' ? 1 : 1 + 2 * classes);
}

/** @param {string} scales */
function listed(scales) {
    const parts = scales.split(',');
    const last = parts.pop() ?? '';
    return parts.length === 0 ? last : t('map.and', { list: parts.join(', '), last });
}

/**
 * What the user may choose, as [value, text]; the model's own scales are among them.
 * @param {MapRule} own
 * @returns {[string, string][]}
 */
export function scaleChoices(own) {
    const all = SCALES.includes(own.scales) ? SCALES : [...SCALES, own.scales];
    return all.map((scales) => [scales, listed(scales)]);
}

/**
 * Only the layer that the model was loaded with; none if it was loaded without.
 * @param {MapRule} own
 * @returns {[string, string][]}
 */
export function layerChoices(own) {
    const layer = own.layer.replace(/^[^:]*:/, '');
    return own.layer === 'none' ? []
        : [['none', t('map.layer.none')],
            ...LAYER_METHODS.map(([value, method]) => /** @type {[string, string]} */ (
                [`${value}:${layer}`, t('map.layer.choice', { layer, method })]))];
}

/** A few words about a rule. @param {MapRule} map */
export function describeMap(map) {
    const parts = [
        ...(map.flip ? [t('map.mirrored')] : []),
        ...(map.scales === '1' ? [] : [t('map.scaled', { scales: listed(map.scales) })]),
        ...(map.layer === 'none' ? [] : [map.layer]),
    ];
    return parts.join(', ') || t('map.plain');
}
