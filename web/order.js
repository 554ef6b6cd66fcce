/* Which pictures the filmstrip shows and in which order, and which of its places are in view. These
 * functions are pure; tests/browser/order.test.mjs tests them.
 *
 * An entry is what the page knows about one picture: the best class and its score, how sure it is that
 * class and box are right, and what a person has done with it. Before the answer the label is null and
 * the numbers are NaN. */

/** @typedef {'' | 'accepted' | 'corrected'} Verdict */
/** @typedef {{name: string, label: string | null, score: number, sure: number, verdict: Verdict}}
 *     Entry */
/** @typedef {{label: string, seen: string, score: string, sort: string}} Filter */

/** @type {() => Filter} shows everything, in the order in which it came */
export const noFilter = () => ({ label: '', seen: '', score: '', sort: '' });

/* Bounds of the choices of a score: at least, less than. */
/** @type {{[name: string]: [number, number]}} */
export const SCORES = { low: [0, 0.5], middle: [0.5, 0.9], high: [0.9, Infinity] };

/** @type {(a: string, b: string) => number} "2.jpg" comes before "10.jpg" */
export const byName = new Intl.Collator(undefined, { numeric: true }).compare;

/** @param {Entry} entry @param {Filter} filter */
function passes({ label, score, verdict }, filter) {
    const bounds = SCORES[filter.score];
    return (filter.label === '' || label === filter.label) &&
        (filter.seen === '' || (filter.seen === 'open') === (verdict === '')) &&
        (!bounds || (score >= bounds[0] && score < bounds[1]));
}

/** The indices of the entries to be shown, in order. What has no answer yet comes last when the least
 * certain come first; otherwise equal ones keep their order.
 * @param {Entry[]} entries @param {Filter} filter @returns {number[]} */
export function ordered(entries, filter) {
    const shown = entries.map((_, index) => index).filter((index) => passes(entries[index], filter));
    if (filter.sort === 'certain') {
        const rank = (/** @type {number} */ index) =>
            (Number.isNaN(entries[index].sure) ? 2 : entries[index].sure);
        return shown.sort((a, b) => rank(a) - rank(b) || a - b);
    }
    if (filter.sort === 'name') {
        return shown.sort((a, b) => byName(entries[a].name, entries[b].name) || a - b);
    }
    return shown;
}

/** The labels of the entries with their numbers, the most frequent first.
 * @param {Entry[]} entries @returns {[string, number][]} */
export function labelCounts(entries) {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { label } of entries) {
        if (label !== null) {
            counts.set(label, (counts.get(label) ?? 0) + 1);
        }
    }
    return [...counts].sort((a, b) => b[1] - a[1] || byName(a[0], b[0]));
}

/** The places of a row of `count` equal places that are in view, with `more` beyond each end:
 * {first, end}.
 * @param {number} count @param {number} pitch from one place to the next @param {number} from
 * @param {number} length of what is in view @param {number} more */
export function placesInView(count, pitch, from, length, more) {
    const first = Math.max(Math.floor(from / pitch) - more, 0);
    const end = Math.min(Math.ceil((from + length) / pitch) + more, count);
    return { first: Math.min(first, count), end: Math.max(end, Math.min(first, count)) };
}

/** The next entry in order that nobody has looked at, after `at` and then from the start; -1 if there
 * is none.
 * @param {Verdict[]} verdicts in the order shown @param {number} at */
export function nextOpen(verdicts, at) {
    const count = verdicts.length;
    for (let step = 1; step <= count; step++) {
        const index = (at + step + count) % count;
        if (verdicts[index] === '' && index !== at) {
            return index;
        }
    }
    return -1;
}
