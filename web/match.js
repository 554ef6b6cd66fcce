/* Names that a typed text probably means, among thousands. These functions are pure;
 * tests/browser/match.test.mjs tests them. */

/** How well a name fits a text; 0: not at all. The whole name is best, then its beginning, the
 * beginning of one of its words, a part of it, and at last its letters with others in between.
 * @param {string} text in lower case @param {string} name */
export function fitness(text, name) {
    const low = name.toLowerCase();
    const at = low.indexOf(text);
    const short = 1 / (1 + low.length);
    if (low === text) return 5;
    if (at === 0) return 4 + short;
    if (at > 0) {
        const word = new RegExp(`[^\\p{L}\\p{N}]${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`, 'u');
        return (word.test(low) ? 3 : 2) + short;
    }
    let from = 0;
    for (const letter of text) {
        from = low.indexOf(letter, from) + 1;
        if (from === 0) {
            return 0;
        }
    }
    return text.length > 1 ? 1 + short : 0;
}

/** The indices of the names that fit a text, the best first, at most `most`.
 * @param {string} text @param {string[]} names @param {number} most @returns {number[]} */
export function bestMatches(text, names, most) {
    const low = text.trim().toLowerCase();
    if (low === '') {
        return [];
    }
    return names.map((name, index) => ({ index, fits: fitness(low, name) }))
        .filter(({ fits }) => fits > 0)
        .sort((a, b) => b.fits - a.fits || a.index - b.index)
        .slice(0, most)
        .map(({ index }) => index);
}
