/* Finding a class among thousands of names by what a person types: parts of words, words in any
 * order, a letter too many or too few. Pure; tests/browser/fuzzy.test.mjs tests it. */

/** @param {string} text without case, accents and underscores */
export const plain = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
    .replaceAll('_', ' ').trim();

/**
 * Whether two words differ by at most one letter added, left out, replaced or swapped.
 * @param {string} a @param {string} b
 */
function almost(a, b) {
    if (Math.abs(a.length - b.length) > 1) {
        return false;
    }
    let i = 0;
    while (i < a.length && a[i] === b[i]) {
        i++;
    }
    const [x, y] = [a.slice(i), b.slice(i)];
    return x.slice(1) === y.slice(1) || x.slice(1) === y || x === y.slice(1) ||
        (x[0] === y[1] && x[1] === y[0] && x.slice(2) === y.slice(2));
}

/**
 * How well one typed word suits a name: less is better, Infinity not at all.
 * @param {string} word @param {string} name @param {string[]} words of the name
 */
function distance(word, name, words) {
    const at = name.indexOf(word);
    if (at === 0) {
        return 0;
    }
    if (words.some((each) => each === word)) {
        return 1;
    }
    if (words.some((each) => each.startsWith(word))) {
        return 2;
    }
    if (at > 0) {
        return 4;
    }
    /* Misspelt: a short word has too many neighbours. */
    const close = word.length >= 4 && words.some((each) => almost(word, each) ||
        (each.length > word.length && almost(word, each.slice(0, word.length))));
    return close ? 6 : Infinity;
}

/**
 * The best matches of a text among names, the best first: of equal ones the shorter, then the
 * earlier. With an empty text, the first names.
 * @param {string} text @param {string[]} names @param {number} most
 * @returns {number[]} indices of names
 */
export function bestMatches(text, names, most) {
    const typed = plain(text).split(/[\s,]+/).filter(Boolean);
    return names
        .map((given, index) => {
            const name = plain(given);
            const words = name.split(/[^\p{L}\p{N}]+/u);
            const off = typed.map((word) => distance(word, name, words));
            const exact = name === plain(text) ? -1 : 0;
            return { index, length: name.length, off: off.reduce((a, b) => a + b, exact) };
        })
        .filter(({ off }) => off < Infinity)
        .sort((a, b) => a.off - b.off || (typed.length > 0 ? a.length - b.length : 0) || a.index - b.index)
        .slice(0, most)
        .map(({ index }) => index);
}
