/* What can be taken back: the states of one thing in the order in which they came. States are never
 * changed, only replaced. These functions are pure; tests/browser/history.test.mjs tests them. */

/**
 * @template T
 * @typedef {{past: T[], present: T, future: T[]}} History
 */

const MOST = 200; /* steps back that are kept */

/** @template T @param {T} present @returns {History<T>} */
export const historyOf = (present) => ({ past: [], present, future: [] });

/** The history after a change. With `join`, the change replaces the one before it, as the steps of
 * one drag or of one key held down do.
 * @template T @param {History<T>} history @param {T} next @param {boolean} [join]
 * @returns {History<T>} */
export function changed({ past, present }, next, join = false) {
    return { past: join ? past : [...past, present].slice(-MOST), present: next, future: [] };
}

/** @template T @param {History<T>} history @returns {History<T>} the same if nothing is left */
export function undone(history) {
    const { past, present, future } = history;
    return past.length === 0 ? history
        : { past: past.slice(0, -1), present: past[past.length - 1], future: [present, ...future] };
}

/** @template T @param {History<T>} history @returns {History<T>} the same if nothing is left */
export function redone(history) {
    const { past, present, future } = history;
    return future.length === 0 ? history
        : { past: [...past, present], present: future[0], future: future.slice(1) };
}
