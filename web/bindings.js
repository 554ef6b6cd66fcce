/* The table of keys, which every part of the page adds its own to. It imports nothing, so that the parts
 * which come late can use it as well. */

/**
 * @typedef {object} Binding
 * @property {string[]} keys as KeyboardEvent.key names them
 * @property {string} text key of the text that says what it does
 * @property {(event: KeyboardEvent) => boolean | void} act false leaves the key to others
 * @property {string} [shown] how the help names the keys
 */

/** @type {Binding[]} the one added last is tried first */
const bindings = [];

/** @param {Binding} binding */
export function bind(binding) {
    bindings.push(binding);
}

/** The keys that the help lists. */
export const described = () => bindings.filter(({ text }) => text);

/** Does what a key is for; false if it is for nothing. @param {KeyboardEvent} event */
export const press = (event) => [...bindings].reverse().some((binding) =>
    binding.keys.includes(event.key) && binding.act(event) !== false);
