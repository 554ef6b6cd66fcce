/* Small helpers for building the page. */

/** The element with an id, which the page has.
 * @param {string} id
 * @returns {HTMLElement} */
export function $(id) {
    const found = document.getElementById(id);
    if (!found) {
        throw new Error(`there is no #${id}`);
    }
    return found;
}

/** The input with an id.
 * @param {string} id
 * @returns {HTMLInputElement} */
export function input(id) {
    return /** @type {HTMLInputElement} */ ($(id));
}

/** Makes an HTML element: `text` and `className` are properties, other names attributes.
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement} */
export function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
        if (key === 'text') made.textContent = value;
        else if (key === 'className') made.className = value;
        else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
}

/** Makes an SVG element.
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElement} */
export function svg(name, attributes = {}, ...children) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) {
        made.setAttribute(key, String(value));
    }
    made.append(...children);
    return made;
}

/** A number in few digits.
 * @param {number} value
 * @returns {string} */
export function short(value) {
    const size = Math.abs(value);
    if (size === 0) return '0';
    if (size < 0.001 || size >= 1e6) return value.toExponential(1);
    return size < 10 ? String(Number(value.toPrecision(3))) : String(Number(value.toFixed(1)));
}
