/* What the page says to the server, and how it understands the answers. */

/* An answer that is no result: RFC 9457, or what came in its place. */
export class Problem extends Error {
    constructor({ title, detail = '', status = 0, requestId = '', retryAfter = 0 }) {
        super(detail ? `${title}: ${detail}` : title);
        Object.assign(this, { title, detail, status, requestId, retryAfter });
    }
}

async function problemOf(response) {
    let told = {};
    try {
        told = await response.json();
    } catch {
        /* Not every answer on the way (a proxy's, say) is JSON. */
    }
    return new Problem({
        title: told.title || response.statusText || 'The server refused',
        detail: told.detail || `It answered with status ${response.status}.`,
        status: response.status,
        requestId: told.request_id || response.headers.get('X-Request-Id') || '',
        retryAfter: Number(response.headers.get('Retry-After')) || 0,
    });
}

async function answerTo(path, options) {
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
        throw await problemOf(response);
    }
    return response;
}

/* One of the pictures that come with the page. */
export async function picture(path) {
    return (await answerTo(path)).blob();
}

async function request(path, options) {
    const response = await answerTo(path, options);
    try {
        return await response.json();
    } catch (error) {
        if (error.name === 'AbortError') {
            throw error;
        }
        throw new Problem({
            title: 'An answer that could not be read',
            detail: 'The connection broke, or this is not an adl-server.',
        });
    }
}

/* The type from the first bytes, as the server tells it; '' for others. */
export async function imageType(file) {
    const bytes = new Uint8Array(await file.slice(0, 12).arrayBuffer());
    const text = String.fromCharCode(...bytes);
    if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg';
    if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
    if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'image/webp';
    return '';
}

/* Path and query of a request. `classId` asks for one class in place of the
 * best five; it, `threshold` and `model` only where given. */
export function localizePath({ model, threshold, classId }) {
    const which = classId === undefined ? { top_k: 5 } : { class: classId };
    const query = new URLSearchParams({ ...which, heatmap: 'array', boxes: 'all' });
    if (model) query.set('model', model);
    if (threshold !== undefined) query.set('threshold', threshold);
    return `localize?${query}`;
}

function authorization(token) {
    return token ? { Authorization: `Bearer ${token}` } : {};
}

export function localize(file, type, { model, classId, token, signal }) {
    return request(localizePath({ model, classId }), {
        method: 'POST',
        headers: { 'Content-Type': type, Accept: 'application/json', ...authorization(token) },
        body: file,
        signal,
    });
}

/* The loaded models as {name, width, height, threshold, classes}. */
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
            classes: Array.isArray(model.classes) ? model.classes.map((c) => c.label ?? c) : [],
        };
    });
}

/* 'ready', 'loading' (503, also while the server drains) or 'away'. */
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

/* The words of the command that asks the same from a shell, quoted, options with
 * their values. The token stays out of it. */
export function curlWords({ name, type, model, threshold, classId, token, base }) {
    const file = name.startsWith('-') ? `./${name}` : name;
    return [
        'curl',
        `-H ${shellQuoted(`Content-Type: ${type}`)}`,
        ...(token ? ['-H "Authorization: Bearer $TOKEN"'] : []),
        `--data-binary ${shellQuoted(`@${file}`)}`,
        shellQuoted(new URL(localizePath({ model, threshold, classId }), base).href),
    ];
}
