/* Small helpers for the elements of the page. */

import { t } from './text.js';

/** @param {string} id @returns {HTMLElement} */
export function $(id) {
    const found = document.getElementById(id);
    if (!found) {
        throw new Error(`the page has no element ${id}`);
    }
    return found;
}

/** @param {string} id */
export const inputOf = (id) => /** @type {HTMLInputElement} */ ($(id));
/** @param {string} id */
export const selectOf = (id) => /** @type {HTMLSelectElement} */ ($(id));
/** @param {string} id */
export const buttonOf = (id) => /** @type {HTMLButtonElement} */ ($(id));
/** @param {string} id */
export const canvasOf = (id) => /** @type {HTMLCanvasElement} */ ($(id));

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function contextOf(canvas, settings) {
    return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', settings));
}

/**
 * A new element; `className` and `text` are set, everything else is an attribute.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, { className = '', text = '', ...attributes } = {}, ...children) {
    const node = document.createElement(tag);
    node.className = className;
    node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) {
        node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
}

/** One of the icons in index.html. @param {string} name */
export function icon(name) {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg');
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    const use = document.createElementNS(space, 'use');
    use.setAttribute('href', `#i-${name}`);
    svg.append(use);
    return svg;
}

/** A share as a percentage, with a digit behind the point if it is below ten. @param {number} v */
export const percent = (v) => t('number.percent', { value: (v * 100).toFixed(v < 0.0995 ? 1 : 0) });

/** A label without underscores. @param {string} label */
export const readable = (label) => label.replaceAll('_', ' ');

/** @param {number} v */
export function milliseconds(v) {
    return v < 10 ? `${v.toFixed(1)} ms` : v < 1000 ? `${Math.round(v)} ms`
        : `${(v / 1000).toFixed(2)} s`;
}

/** A number between 0 and 1 as it is, with at most three digits and at least two. @param {number} v */
export function fraction(v) {
    const text = v.toFixed(3);
    return text.endsWith('0') ? v.toFixed(2) : text;
}

/** Has a screen reader say a text. @param {string} text */
export function announce(text) {
    $('live').textContent = text;
}

/**
 * Fills a list of choices, unless it has them, and selects one.
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} choices values and texts
 * @param {string} chosen
 */
export function showChoices(select, choices, chosen) {
    const shown = [...select.options].map((option) => `${option.value}\n${option.text}`);
    if (shown.join() !== choices.map(([value, text]) => `${value}\n${text}`).join()) {
        select.replaceChildren(...choices.map(([value, text]) => element('option', { value, text })));
    }
    if (select.value !== chosen) {
        select.value = chosen;
    }
}
