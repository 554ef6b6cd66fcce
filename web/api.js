/* The requests of the page to the server, and the parsing of the answers. */

import { ownMap } from './maps.js';
import { objectRule } from './objects.js';

/* An error: a problem document (RFC 9457), or what is known in place of one. */
export class Problem extends Error {
    constructor({ title, detail = '', status = 0, requestId = '', retryAfter = 0 }) {
        super(detail ? `${title}: ${detail}` : title);
        Object.assign(this, { title, detail, status, requestId, retryAfter });
    }
}

async function readProblem(response) {
    let body = {};
    try {
        body = await response.json();
    } catch {
        /* Not every answer is JSON; one may come from a proxy. */
    }
    return new Problem({
        title: body.title || response.statusText || 'The server refused the request',
        detail: body.detail || `The server answered with status ${response.status}.`,
        status: response.status,
        requestId: body.request_id || response.headers.get('X-Request-Id') || '',
        retryAfter: Number(response.headers.get('Retry-After')) || 0,
    });
}

async function fetchChecked(path, options) {
    let response;
    try {
        response = await fetch(path, { cache: 'no-store', ...options });
    } catch (error) {
        if (error.name === 'AbortError') {
            throw error;
        }
        throw new Problem({
            title: 'No answer from the server',
            detail: 'It may have been stopped, or it closed the connection early.',
        });
    }
    if (!response.ok) {
        throw await readProblem(response);
    }
    return response;
}

/* One of the images that belong to the page, as a Blob. */
export async function fetchExample(path) {
    return (await fetchChecked(path)).blob();
}

async function request(path, options) {
    const response = await fetchChecked(path, options);
    try {
        return await response.json();
    } catch (error) {
        if (error.name === 'AbortError') {
            throw error;
        }
        throw new Problem({
            title: 'The answer could not be read',
            detail: 'The connection was interrupted, or this is not an adl-server.',
        });
    }
}

/* The media type, detected from the first bytes as in the server; '' for other files. */
export async function imageType(file) {
    const bytes = new Uint8Array(await file.slice(0, 12).arrayBuffer());
    const text = String.fromCharCode(...bytes);
    if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg';
    if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
    if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'image/webp';
    return '';
}

/* Path and query of a request for the best five classes, or for the one class `classId`.
 * All arguments are optional; `boxes` is all, largest or objects, `map` has the parameters of the
 * map. */
export function localizePath({ model, threshold, classId, boxes = 'all', map = {} }) {
    const which = classId === undefined ? { top_k: 5 } : { class: classId };
    const query = new URLSearchParams({ ...which, heatmap: 'array', boxes, ...map });
    if (model) query.set('model', model);
    if (threshold !== undefined) query.set('threshold', threshold);
    return `localize?${query}`;
}

function authorization(token) {
    return token ? { Authorization: `Bearer ${token}` } : {};
}

export function localize(file, type, { model, classId, map, token, signal }) {
    return request(localizePath({ model, classId, map }), {
        method: 'POST',
        headers: { 'Content-Type': type, Accept: 'application/json', ...authorization(token) },
        body: file,
        signal,
    });
}

/* The loaded models as {name, width, height, threshold, map, objects, classes}. */
export async function models(token) {
    const answer = await request('models', { headers: authorization(token) });
    const list = Array.isArray(answer) ? answer : answer.models || [];
    return list.map((model) => {
        const [height, width] = model.input?.size || [224, 224];
        return {
            name: model.name,
            width,
            height,
            threshold: model.threshold ?? model.cam?.threshold ?? 0.35,
            map: ownMap(model.cam),
            objects: objectRule(model.cam),
            classes: Array.isArray(model.classes) ? model.classes.map((c) => c.label ?? c) : [],
        };
    });
}

/* 'ready', 'loading' (503, also while the server drains) or 'away' (no answer). */
export async function health() {
    try {
        const response = await fetch('health', { cache: 'no-store' });
        return response.ok ? 'ready' : response.status === 503 ? 'loading' : 'away';
    } catch {
        return 'away';
    }
}

function shellQuoted(text) {
    return `'${text.replaceAll("'", "'\\''")}'`;
}

/* The same request as a curl command: its words, quoted for a shell, each option together
 * with its value. The token is not included. */
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
