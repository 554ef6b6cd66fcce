/* The requests of the page to the server, and the parsing of the answers. */

import { ownMap } from './maps.js';
import { objectRule } from './objects.js';
import { t } from './text.js';

/* An error: a problem document (RFC 9457), or what is known in place of one. */
export class Problem extends Error {
    /**
     * @param {{title: string, detail?: string, status?: number, requestId?: string,
     *     retryAfter?: number, unanswered?: boolean}} what
     */
    constructor({ title, detail = '', status = 0, requestId = '', retryAfter = 0,
        unanswered = false }) {
        super(detail ? `${title}: ${detail}` : title);
        this.title = title;
        this.detail = detail;
        this.status = status;
        this.requestId = requestId;
        this.retryAfter = retryAfter;
        this.unanswered = unanswered; /* the server was not there, or went away */
    }
}

/** @param {Response} response */
async function readProblem(response) {
    /** @type {any} */
    let body = {};
    try {
        body = await response.json();
    } catch {
        /* Not every answer is JSON; one may come from a proxy. */
    }
    return new Problem({
        title: body.title || response.statusText || t('problem.refused'),
        detail: body.detail || t('problem.status', { status: response.status }),
        status: response.status,
        requestId: body.request_id || response.headers.get('X-Request-Id') || '',
        retryAfter: Number(response.headers.get('Retry-After')) || 0,
    });
}

/** @param {string} path @param {RequestInit} [options] */
async function fetchChecked(path, options) {
    let response;
    try {
        response = await fetch(path, { cache: 'no-store', ...options });
    } catch (error) {
        if (/** @type {Error} */ (error).name === 'AbortError') {
            throw error;
        }
        throw new Problem({
            title: t('problem.away'),
            detail: t('problem.away.detail'),
            unanswered: true,
        });
    }
    if (!response.ok) {
        throw await readProblem(response);
    }
    return response;
}

/** One of the images that belong to the page. @param {string} path */
export async function fetchExample(path) {
    return (await fetchChecked(path)).blob();
}

/** @param {string} path @param {RequestInit} options @returns {Promise<any>} */
async function request(path, options) {
    const response = await fetchChecked(path, options);
    try {
        return await response.json();
    } catch (error) {
        if (/** @type {Error} */ (error).name === 'AbortError') {
            throw error;
        }
        throw new Problem({
            title: t('problem.unreadable'),
            detail: t('problem.unreadable.detail'),
            unanswered: true,
        });
    }
}

/** The media type, detected from the first bytes as in the server; '' for other files.
 * @param {Blob} file */
export async function imageType(file) {
    const bytes = new Uint8Array(await file.slice(0, 12).arrayBuffer());
    const text = String.fromCharCode(...bytes);
    if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg';
    if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
    if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'image/webp';
    return '';
}

/**
 * What is asked of the server; all of it may be left out. Without a class, the best five; `boxes` is
 * all, largest or objects, `map` has the parameters of the map.
 * @typedef {object} Request
 * @property {string} [model]
 * @property {number} [threshold]
 * @property {number | string} [classId]
 * @property {string} [boxes]
 * @property {Record<string, string>} [map]
 */

/** Path and query of a request. @param {Request} what */
export function localizePath({ model, threshold, classId, boxes = 'all', map = {} }) {
    /** @type {Record<string, any>} */
    const which = classId === undefined ? { top_k: 5 } : { class: classId };
    const parameters = { ...which, heatmap: 'array', boxes, ...map };
    const query = new URLSearchParams(parameters);
    if (model) query.set('model', model);
    if (threshold !== undefined) query.set('threshold', String(threshold));
    return `localize?${query}`;
}

/** @param {string} token @returns {Record<string, string>} */
function authorization(token) {
    return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * @param {Blob} file @param {string} type
 * @param {Request & {token: string, signal: AbortSignal}} what
 */
export function localize(file, type, { model, classId, map, token, signal }) {
    return request(localizePath({ model, classId, map }), {
        method: 'POST',
        headers: { 'Content-Type': type, Accept: 'application/json', ...authorization(token) },
        body: file,
        signal,
    });
}

/**
 * What the server has and takes: the loaded models, its limits, whether it keeps annotations and
 * shows training.
 * @param {string} token
 * @returns {Promise<{models: import('./store.js').Model[], limits: import('./prepare.js').Limits | null,
 *     annotations: boolean, training: boolean}>}
 */
export async function models(token) {
    const answer = await request('models', { headers: authorization(token) });
    const list = Array.isArray(answer) ? answer : answer.models || [];
    const { limits, annotations = false, training = false } = answer;
    const found = list.map((/** @type {any} */ model) => {
        const [height, width] = model.input?.size || [224, 224];
        return {
            name: model.name,
            width,
            height,
            threshold: model.threshold ?? model.cam?.threshold ?? 0.35,
            map: ownMap(model.cam),
            objects: objectRule(model.cam),
            classes: Array.isArray(model.classes) ? model.classes.map((/** @type {any} */ c) => c.label ?? c) : [],
            info: model,
        };
    });
    return {
        models: found, annotations, training,
        limits: limits ? { bodyBytes: limits.body_bytes, pixels: limits.pixels } : null,
    };
}

/**
 * Keeps a picture, or the boxes of one, in the server's directory of annotations.
 * @param {string} name @param {Blob} body @param {string} type
 * @param {{token: string, signal: AbortSignal}} what
 */
export function putAnnotation(name, body, type, { token, signal }) {
    return request(`annotations/${encodeURIComponent(name)}`, {
        method: 'PUT', headers: { 'Content-Type': type, ...authorization(token) }, body, signal,
    });
}

/* Health is answered at once, however busy the server is; what takes longer is the way there and back.
 * On a way that is slow more time is given, so that a server far away is not one that is away. */
const LEAST_HEALTH_MS = 900;
const MOST_HEALTH_MS = 15000;
let healthMs = LEAST_HEALTH_MS;

/** @param {number} ms */
function setPatience(ms) {
    healthMs = Math.min(Math.max(ms, LEAST_HEALTH_MS), MOST_HEALTH_MS);
}

/**
 * 'loading' is 503, also while the server drains, 'away' no answer.
 * @returns {Promise<'ready' | 'loading' | 'away'>}
 */
export async function health() {
    const start = performance.now();
    try {
        const response = await fetch('health', { cache: 'no-store',
            signal: AbortSignal.timeout(healthMs) });
        setPatience(3 * (performance.now() - start));
        return response.ok ? 'ready' : response.status === 503 ? 'loading' : 'away';
    } catch (error) {
        if (/** @type {Error} */ (error).name === 'TimeoutError') {
            setPatience(2 * healthMs);
        }
        return 'away';
    }
}

/** Whether a text can be a token: others cannot be sent in a header. @param {string} text */
export const mayBeToken = (text) => /^[\x21-\x7e]+$/.test(text);

/** The server's own account of itself: queue, stages.
 * @param {string} token @returns {Promise<any>} */
export function serverStatus(token) {
    return request('status', { headers: authorization(token) });
}

/** @param {string} text */
function shellQuoted(text) {
    return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * The same request as a curl command: its words, quoted for a shell, each option together
 * with its value. The token is not included.
 * @param {Request & {name: string, type: string, token: string, base: string}} what
 */
export function curlWords({ name, type, model, threshold, classId, boxes, map, token, base }) {
    const file = name.startsWith('-') ? `./${name}` : name;
    return [
        'curl',
        `-H ${shellQuoted(`Content-Type: ${type}`)}`,
        ...(token ? ['-H "Authorization: Bearer $TOKEN"'] : []),
        `--data-binary ${shellQuoted(`@${file}`)}`,
        shellQuoted(new URL(localizePath({ model, threshold, classId, boxes, map }), base).href),
    ];
}
