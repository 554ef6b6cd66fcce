/* What the page asks the server. A report asks itself for its pictures (report.js). */

/** @typedef {import('./paint.js').Grid} Grid */
/** @typedef {import('./paint.js').Box} Box */
/** @typedef {{name: string, network?: string, method?: string, seed?: number, epochs?: number,
 *    train_images?: number, changed: number, running: boolean, pictures: boolean, steps: boolean,
 *    command?: string}} Run */
/** @typedef {Record<string, any>} Row a line of metrics.jsonl */
/** @typedef {{lines: Row[], next: number, anew: boolean, more: boolean}} Lines */
/** @typedef {{id: string, label: string, width: number, height: number, boxes: Box[]}} Picture */
/** @typedef {{name: string, width: number, height: number, cut: number, hidden: number,
 *    importance_used: boolean, attention: Grid, importance: Grid}} Layer */
/** @typedef {{score: number, top: string, top_score: number, box?: Box, iou?: number, map: Grid,
 *    layers?: Layer[]}} Sight what the network sees in a picture */

let token = '';

/** @param {string} text */
export function useToken(text) {
    token = text;
}

export class Refused extends Error {
    /** @param {number} status @param {string} detail */
    constructor(status, detail) {
        super(detail);
        this.status = status; /* 0: no answer */
    }
}

/** @param {string} path @param {Record<string, string | number>} [query] */
async function ask(path, query = {}) {
    const words = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
    const target = words.size ? `${path}?${words}` : path;
    let response;
    try {
        response = await fetch(target, { cache: 'no-store',
            headers: token ? { Authorization: `Bearer ${token}` } : {},
            signal: AbortSignal.timeout(20000) });
    } catch {
        throw new Refused(0, 'no answer from the server');
    }
    if (!response.ok) {
        const problem = await response.json().catch(() => ({}));
        throw new Refused(response.status, problem.detail || response.statusText);
    }
    return response;
}

/** @returns {Promise<{runs: Run[], more: boolean}>} */
export async function runs() {
    return (await ask('training/runs')).json();
}

/** @param {string} run @param {number} from @returns {Promise<Lines>} */
export async function lines(run, from) {
    return (await ask('training/lines', { run, from })).json();
}

/**
 * Where the pictures come from: the server, or a report, which holds those of its run.
 * @typedef {object} Source
 * @property {(run: string) => Promise<{pictures: Picture[], epochs: number[]}>} pictures
 * @property {(run: string, epoch: number) => Promise<{pictures?: Sight[]}>} sights
 * @property {(run: string, number: number) => Promise<ImageBitmap>} picture
 */

/** @type {Source} */
let source = {
    pictures: async (run) => (await ask('training/pictures', { run })).json(),
    sights: async (run, epoch) => (await ask('training/pictures', { run, epoch })).json(),
    picture: async (run, number) =>
        createImageBitmap(await (await ask('training/picture', { run, number })).blob()),
};

/** @param {Source} other */
export function useSource(other) {
    source = other;
}

/** @param {string} run */
export const pictures = (run) => source.pictures(run);

/** What the network saw in the pictures after an epoch. @param {string} run @param {number} epoch */
export const sights = (run, epoch) => source.sights(run, epoch);

/** @param {string} run @param {number} number */
export const picture = (run, number) => source.picture(run, number);
