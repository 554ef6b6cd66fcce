// Compares the answers of a running server with openapi.json: the status, the type and the
// headers of each are described for its operation, and JSON is valid under a schema that
// allows no member beside those it names. Then every status that is described has been seen.
// answers.cjs CLIENT runs the generated client as well.

const { spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;

const api = JSON.parse(fs.readFileSync('server/api/openapi.json', 'utf8'));
const model = 'models/default.safetensors';
const VERSION = createHash('sha256').update(fs.readFileSync(model)).digest('hex').slice(0, 12);
const jpeg = fs.readFileSync('web/examples/umbrella.jpg');
let passed = 0;
let failed = 0;

function verdict(name, faults) {
    if (faults.length === 0) {
        passed++;
        return;
    }
    failed++;
    console.log(`FAIL: ${name}: ${faults.join('; ')}`);
}

// --- the description -------------------------------------------------------------

// The same with members that are not named forbidden, where nothing else is said.
function close(node) {
    if (Array.isArray(node))
        return node.map(close);
    if (node === null || typeof node !== 'object')
        return node;
    const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, close(value)]));
    if (node.type === 'object' && node.properties && node.additionalProperties === undefined)
        copy.additionalProperties = false;
    return copy;
}

const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addFormat('binary', true);
ajv.addSchema({ $id: 'http://api/', ...close(api) });

function pointer(...parts) {
    return parts.map((part) => '/' + String(part).replace(/~/g, '~0').replace(/\//g, '~1')).join('');
}

function follow(node) {
    if (!node || !node.$ref)
        return node;
    return node.$ref.slice(2).split('/').reduce((at, part) => at[part], api);
}

const byRoute = ['content-type', 'content-length', 'date', 'connection', 'x-content-type-options',
    'content-security-policy', 'referrer-policy', 'ratelimit', 'ratelimit-policy'];
const seen = new Set();

// What is wrong with an answer to an operation.
function faultsOf(answer, route, method) {
    const item = api.paths[route];
    const name = item[method] ? method : Object.keys(item)[0]; // 405 is described there
    const where = ['paths', route, name, 'responses', answer.status];
    const response = follow(item[name].responses[answer.status]);
    if (!response)
        return [`status ${answer.status} is not described: ${answer.body.slice(0, 200)}`];
    seen.add(`${name} ${route} ${answer.status}`);
    const faults = [];
    const named = Object.keys(response.headers ?? {}).map((header) => header.toLowerCase());
    for (const header of Object.keys(answer.headers))
        if (!byRoute.includes(header) && !named.includes(header))
            faults.push(`the header ${header} is not described`);
    for (const header of named)
        if (!['vary', 'accept-encoding', 'inference-header-content-length', ...answer.status === 403 ? ['www-authenticate'] : []].includes(header) && !(header in answer.headers))
            faults.push(`the header ${header} is missing`);
    const type = (answer.headers['content-type'] ?? '').split(';')[0];
    if (!response.content)
        return type ? [...faults, `the type "${type}" is not described`] : faults;
    if (!response.content[type])
        return [...faults, `the type "${type}" is not described`];
    if (method === 'head' || !type.endsWith('json'))
        return faults;
    if (item[name].responses[answer.status].$ref)
        where.splice(0, where.length,
            ...item[name].responses[answer.status].$ref.slice(2).split('/'));
    const check = ajv.compile({ $ref: 'http://api/#' + pointer(...where, 'content', type, 'schema') });
    if (!check(JSON.parse(answer.body)))
        faults.push(ajv.errorsText(check.errors).slice(0, 600));
    if (answer.status >= 400 && !route.startsWith('/v2')) {
        const problem = JSON.parse(answer.body);
        if (problem.status !== answer.status || problem.request_id !== answer.headers['x-request-id'])
            faults.push('the problem contradicts the answer');
        if (!api.components.schemas.ProblemName.enum.includes(problem.type.split('/').pop()))
            faults.push(`the problem ${problem.type} is not described`);
    }
    return faults;
}

// --- the server ------------------------------------------------------------------

function start(...options) {
    const child = spawn(process.env.PROGRAM, ['serve', '--listen', '127.0.0.1:0',
        '--admin-listen', '127.0.0.1:0', ...options],
        { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    process.on('exit', () => child.kill('SIGKILL'));
    return new Promise((resolve, reject) => {
        ended.then((status) => reject(new Error(`the server ended with ${status}`)));
        let lines = '';
        child.stdout.on('data', (text) => {
            lines += text;
            const ports = [...lines.matchAll(/:(\d+)\n/g)].map((found) => Number(found[1]));
            if (ports.length === 2)
                resolve({ child, port: ports[0], admin: ports[1], ended });
        });
    });
}

async function startReady(...options) {
    const server = await start(...options);
    while ((await ask(server, 'GET', '/readyz')).status !== 200)
        await new Promise((resolve) => setTimeout(resolve, 20));
    return server;
}

function stop(server) {
    server.child.kill('SIGTERM');
    return server.ended;
}

function answerOf(response, resolve) {
    const pieces = [];
    response.on('data', (piece) => pieces.push(piece));
    response.on('end', () => resolve({
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.concat(pieces).toString('latin1'),
    }));
}

// What only the listener for administration has.
function portOf(server, method, target) {
    return /^\/(metrics|reload)\b/.test(target) ||
        (/^\/models\//.test(target) && /^(PUT|DELETE)$/.test(method)) ? server.admin : server.port;
}

// Over a new connection, or over one of those that openAhead() has opened.
function ask(server, method, target, headers = {}, body = undefined, ahead = []) {
    const port = portOf(server, method, target);
    const socket = port === server.port ? ahead.pop() : undefined;
    return new Promise((resolve, reject) => {
        const request = http.request({ port, host: '127.0.0.1', method, path: target,
            headers: { Host: 'localhost', ...headers },
            ...socket ? { createConnection: () => socket } : { agent: false } },
        (response) => answerOf(response, resolve));
        request.on('error', reject);
        request.end(body);
    });
}

// Connections that wait for a request: a server that ends takes no new ones.
function openAhead(server, count) {
    return Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
        const socket = net.connect(server.port, '127.0.0.1', () => resolve(socket));
        socket.on('error', reject);
    })));
}

// Sends bytes as they are and reads the answer to the end of the connection.
function askRaw(server, text) {
    return new Promise((resolve, reject) => {
        const pieces = [];
        const socket = net.connect(portOf(server, ...text.split(' ')), '127.0.0.1', () => socket.write(text, 'latin1'));
        socket.on('error', reject);
        socket.on('data', (piece) => pieces.push(piece));
        socket.on('close', () => {
            const [head, ...rest] = Buffer.concat(pieces).toString('latin1').split('\r\n\r\n');
            const [first, ...lines] = head.split('\r\n');
            resolve({
                status: Number(first.split(' ')[1]),
                headers: Object.fromEntries(lines.map((line) =>
                    [line.split(':')[0].toLowerCase(), line.replace(/^[^:]*: */, '')])),
                body: rest.join('\r\n\r\n'),
            });
        });
    });
}

async function expect(name, answer, route, method, status, problem) {
    const got = await answer;
    const faults = faultsOf(got, route, method);
    if (got.status !== status)
        faults.push(`status ${got.status}, expected ${status}`);
    else if (problem && method !== 'head' && !route.startsWith('/v2') && JSON.parse(got.body).type !== `/problems/${problem}`)
        faults.push(`${JSON.parse(got.body).type}, expected ${problem}`);
    verdict(name, faults);
    return got;
}

// --- the cases -------------------------------------------------------------------

const LONG = 'a'.repeat(400000); // more than a connection's memory
const TARGETS = { '/models/{name}': '/models/default', '/problems/{name}': '/problems/queue-full',
    '/annotations/{name}': '/annotations/umbrella.jpg', '/jobs/{id}': '/jobs/ID',
    '/jobs/{id}/results': '/jobs/ID/results', '/{file}': '/style.css',
    '/v2/models/{name}': '/v2/models/default',
    '/v2/models/{name}/ready': '/v2/models/default/ready',
    '/v2/models/{name}/versions/{version}': `/v2/models/default/versions/${VERSION}`,
    '/v2/models/{name}/versions/{version}/ready': `/v2/models/default/versions/${VERSION}/ready`,
    '/v2/models/{name}/infer': '/v2/models/default/infer',
    '/v2/models/{name}/versions/{version}/infer': `/v2/models/default/versions/${VERSION}/infer`,
    '/v2/models/{name}/explain': '/v2/models/default/explain',
    '/v2/models/{name}/versions/{version}/explain': `/v2/models/default/versions/${VERSION}/explain`,
    '/training/lines': '/training/lines?run=first',
    '/training/pictures': '/training/pictures?run=first',
    '/training/picture': '/training/picture?run=first&number=0' };

// A directory with a run whose last line is being written.
function makeRuns() {
    const runs = fs.mkdtempSync(path.join(os.tmpdir(), 'adl-runs-'));
    fs.mkdirSync(path.join(runs, 'first/pictures'), { recursive: true });
    const write = (name, bytes) => fs.writeFileSync(path.join(runs, 'first', name), bytes);
    write('run.json', '{"network": "n", "epochs": 3, "config": {"method": "adl", "seed": 1}}');
    write('metrics.jsonl', '{"epoch": 1}\n{"epoch": 2');
    write('pictures/index.json', '{"version": 1, "pictures": []}');
    write('pictures/epoch-0001.json', '{"epoch": 1, "threshold": 0.5, "pictures": []}');
    write('pictures/00.jpg', jpeg);
    process.on('exit', () => fs.rmSync(runs, { recursive: true }));
    return runs;
}
const operations = Object.entries(api.paths).flatMap(([route, item]) =>
    Object.keys(item).map((method) => [route, method, TARGETS[route] ?? route]));

// Folders for --jobs: "one" with a picture, and "many" that take a while.
function makeFolders() {
    const folders = fs.mkdtempSync(path.join(os.tmpdir(), 'adl-jobs-'));
    for (const [name, count] of [['one', 1], ['many', 500]]) {
        fs.mkdirSync(path.join(folders, name));
        for (let i = 0; i < count; i++)
            fs.writeFileSync(path.join(folders, name, `${i}.jpg`), jpeg);
    }
    process.on('exit', () => fs.rmSync(folders, { recursive: true }));
    return folders;
}

// Makes a job, and names it in the targets of the operations.
async function makeJob(server) {
    const { id } = JSON.parse((await ask(server, 'POST', '/jobs', JSON_TYPE,
        '{"folder": "one", "top_k": 2}')).body);
    for (const operation of operations)
        operation[2] = operation[2].replace(/^\/jobs\/ID/, `/jobs/${id}`);
    return id;
}

function form(...images) {
    const head = '--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n';
    return Buffer.concat([...images.flatMap((image) => [Buffer.from(head), image,
        Buffer.from('\r\n')]), Buffer.from('--b--\r\n')]);
}

const FORM = { 'Content-Type': 'multipart/form-data; boundary=b' };
const JPEG = { 'Content-Type': 'image/jpeg' };
const JSON_TYPE = { 'Content-Type': 'application/json' };

// Refusals that are the same for all routes.
async function checkAll(server) {
    for (const [route, method, target] of operations) {
        const line = method.toUpperCase() + ' ' + target;
        const raw = (more, query = '') => askRaw(server,
            `${line}${query} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`);
        for (const other of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'])
            if (!api.paths[route][other.toLowerCase()])
                await expect(`${other} ${target}`, ask(server, other, target), route,
                    other.toLowerCase(), 405, 'method-not-allowed');
        await expect(`${line} of another host`, ask(server, method, target, { Host: 'x.example' }),
            route, method, 403, 'unknown-host');
        await expect(`${line} with a blank in a name`, raw('A : b\r\n'), route, method, 400,
            'malformed-request');
        await expect(`${line} with a length beyond limits`,
            raw('Content-Length: 99999999999999999999999\r\n'), route, method, 413,
            'body-too-large');
        await expect(`${line} in another coding`, raw('Transfer-Encoding: gzip\r\n'), route, method,
            501, 'unknown-coding');
        await expect(`${line} with large headers`, raw(`A: ${LONG}\r\n`), route, method,
            431);
        await expect(`${line} with a long query`, raw('', '?' + LONG), route, method,
            414);
        if (method !== 'get')
            continue;
        const got = await expect(line, ask(server, 'GET', target), route, 'get', 200);
        await expect(`HEAD ${target}`, ask(server, 'HEAD', target), route, 'head', 200);
        if (got.headers.etag)
            await expect(`${line} again`,
                ask(server, 'GET', target, { 'If-None-Match': got.headers.etag }), route, 'get', 304);
    }
    await expect('unknown model', ask(server, 'GET', '/models/x'), '/models/{name}', 'get', 404,
        'unknown-model');
    await expect('unknown problem', ask(server, 'GET', '/problems/x'), '/problems/{name}', 'get', 404,
        'unknown-path');
    await expect('no run', ask(server, 'GET', '/training/lines'), '/training/lines', 'get', 400,
        'bad-parameter');
    for (const [name, query, status] of [['lines', 'run=first&from=x', 400],
        ['lines', 'run=first&file=other', 400], ['lines', 'run=first&from=9999', 200],
        ['lines', 'run=..', 404], ['lines', 'run=first%2F..%2Ffirst', 404],
        ['picture', 'run=first&number=7', 404],
        ['pictures', 'run=first&epoch=1', 200], ['pictures', 'run=first&epoch=2', 404],
        ['pictures', 'run=first&epoch=-1', 400]])
        await expect(`${name}?${query}`, ask(server, 'GET', `/training/${name}?${query}`),
            `/training/${name}`, 'get', status);
    await expect('unknown file', ask(server, 'GET', '/nope'), '/{file}', 'get', 404, 'unknown-path');
}

async function checkLocalize(server) {
    const post = (name, query, headers, body, status, problem) =>
        expect(name, ask(server, 'POST', '/localize' + query, headers, body), '/localize', 'post',
            status, problem);
    const bytes = { 'Content-Type': 'application/octet-stream' };
    const cut = jpeg.subarray(0, jpeg.length / 2);
    const text = Buffer.from('no image');

    await post('an image', '', JPEG, jpeg, 200);
    await post('an image of unknown type', '', bytes, jpeg, 200);
    await post('a map rule', '?map_weights=positive&map_normalise=ivr&map_percentile=0.5&heatmap=array',
        JPEG, jpeg, 200);
    await post('views of the map', '?map_flip=true&map_scales=1,1.43&map_stride=1&heatmap=array', JPEG, jpeg,
        200);
    await post('a layer that was not loaded', '?map_layer=layercam:blocks.4', JPEG, jpeg, 400);
    await post('a map without layers', '?map_layer=none', JPEG, jpeg, 200);
    await post('too many views', '?map_flip=true&map_scales=1,1.8,1.9,2', JPEG, jpeg, 400);
    await post('the reference rule', '?map=reference&foreground=false', JPEG, jpeg, 200);
    await post('a percentile of minmax', '?map=reference&map_percentile=0.5', JPEG, jpeg, 400);
    await post('the few-box head', '?foreground=true&heatmap=array', JPEG, jpeg, 200);
    await post('all parameters', '?model=default&top_k=3&threshold=0.2&boxes=all&heatmap=array', JPEG,
        jpeg, 200);
    await post('a class', '?class=ant&heatmap=png', JPEG, jpeg, 200);
    await post('a form', '?heatmap=png', FORM, form(jpeg, text, cut), 200);
    await post('an overlay', '', { ...JPEG, Accept: 'image/jpeg' }, jpeg, 200);
    await post('a PNG overlay', '', { ...JPEG, Accept: 'image/png' }, jpeg, 200);
    await post('a bad parameter', '?top_k=0', JPEG, jpeg, 400, 'bad-parameter');
    await post('an unknown class', '?class=zzz', JPEG, jpeg, 400, 'unknown-class');
    await post('an empty body', '', JPEG, '', 400, 'malformed-request');
    await post('an unknown model', '?model=x', JPEG, jpeg, 404, 'unknown-model');
    await post('text/html', '', { ...JPEG, Accept: 'text/html' }, jpeg, 406, 'not-acceptable');
    await expect('no body', askRaw(server, 'POST /localize HTTP/1.1\r\nHost: localhost\r\n' +
        'Content-Type: image/jpeg\r\nConnection: close\r\n\r\n'), '/localize', 'post', 411,
    'length-required');
    await post('a large body', '', JPEG, Buffer.alloc(70000), 413, 'body-too-large');
    await post('many pixels', '', JPEG, fs.readFileSync('web/examples/starfish.jpg'), 413,
        'image-too-large');
    for (const [name, headers] of [['a JPEG', JPEG], ['bytes', bytes]]) {
        await post(`text as ${name}`, '', headers, text, 415, 'unsupported-media-type');
        await post(`half an image as ${name}`, '', headers, cut, 422, 'corrupt-image');
    }
    await post('text as text', '', { 'Content-Type': 'text/plain' }, text, 415,
        'unsupported-media-type');
    await post('gzip', '', { ...JPEG, 'Content-Encoding': 'gzip' }, jpeg, 415,
        'unsupported-media-type');
    await expect('a slow body', askRaw(server, 'POST /localize HTTP/1.1\r\n' +
        'Host: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\nslow'), '/localize',
    'post', 408, 'client-too-slow');
}

// The Open Inference Protocol: every operation has the same answers.
async function checkInference(server) {
    const JSON_TYPE = { 'Content-Type': 'application/json' };
    const encoded = (bytes) => bytes.toString('base64');
    const of = (bytes, more = {}) => JSON.stringify({ inputs: [{ name: 'image', shape: [1],
        datatype: 'BYTES', data: [encoded(bytes)] }], ...more });
    for (const [route, method, target] of operations) {
        if (!route.startsWith('/v2/models/'))
            continue;
        await expect(`${target}: another model`, ask(server, method.toUpperCase(),
            target.replace('default', 'none'), JSON_TYPE, method === 'post' ? '{}' : undefined), route,
        method, 404);
        if (method !== 'post')
            continue;
        const post = (name, headers, body, status) =>
            expect(`${target}: ${name}`, ask(server, 'POST', target, headers, body), route, 'post', status);
        await post('a picture', JSON_TYPE, of(jpeg, { id: 'a', outputs: [{ name: 'boxes' }] }), 200);
        await post('all outputs', JSON_TYPE, of(jpeg, { outputs: ['logits', 'scores', 'cam', 'boxes',
            'map', 'classes', 'labels'].map((name) => ({ name })) }), 200);
        const binary = await ask(server, 'POST', target, JSON_TYPE,
            of(jpeg, { parameters: { binary_data_output: true } }));
        verdict(`${target}: binary data`, binary.headers['content-type'] === 'application/octet-stream' &&
            JSON.parse(binary.body.slice(0, binary.headers['inference-header-content-length']))
                .outputs.reduce((sum, one) => sum + one.parameters.binary_data_size, 0) ===
            binary.body.length - binary.headers['inference-header-content-length'] ? [] : ['wrong']);
        await post('no JSON', JSON_TYPE, '{', 400);
        await post('a type', { 'Content-Type': 'text/plain' }, '{}', 415);
        await post('gzip', { ...JSON_TYPE, 'Content-Encoding': 'gzip' }, '{}', 415);
        await post('text in place of a picture', JSON_TYPE, of(Buffer.from('no image')), 415);
        await post('half a picture', JSON_TYPE, of(jpeg.subarray(0, jpeg.length / 2)), 422);
        await post('a large body', JSON_TYPE, Buffer.alloc(70000), 413);
        await expect(`${target}: no body`, askRaw(server, `POST ${target} HTTP/1.1\r\nHost: localhost\r\n` +
            'Connection: close\r\n\r\n'), route, 'post', 411);
        await expect(`${target}: a slow body`, askRaw(server, `POST ${target} HTTP/1.1\r\n` +
            'Host: localhost\r\nContent-Length: 9\r\n\r\nslow'), route, 'post', 408);
    }
}

async function checkAnnotations(server) {
    const route = '/annotations/{name}';
    const put = (name, target, headers, body, status, problem) =>
        expect(name, ask(server, 'PUT', `/annotations/${target}`, headers, body), route, 'put',
            status, problem);
    const box = { x0: 1, y0: 2, x1: 3, y1: 4, label: 'umbrella' };
    const boxes = (...list) => JSON.stringify({ boxes: list });
    const cut = jpeg.subarray(0, jpeg.length / 2);

    await put('boxes', 'umbrella.jpg', JSON_TYPE, boxes(box), 200);
    await put('no boxes', 'umbrella.jpg', JSON_TYPE, boxes(), 200);
    await put('the picture again', 'umbrella.jpg', JPEG, jpeg, 200);
    await put('boxes before the picture', 'x.jpg', JSON_TYPE, boxes(box), 404, 'unknown-picture');
    await put('no JSON', 'umbrella.jpg', JSON_TYPE, '{', 400, 'malformed-request');
    await put('a box outside', 'umbrella.jpg', JSON_TYPE, boxes({ ...box, x1: 99999 }), 400,
        'malformed-request');
    await put('a hidden name', '.x.jpg', JPEG, jpeg, 400, 'malformed-request');
    await put('half a picture', 'half.jpg', JPEG, cut, 422, 'corrupt-image');
    await put('text as a picture', 'text.jpg', JPEG, 'no image', 415, 'unsupported-media-type');
    await put('text', 'text.jpg', { 'Content-Type': 'text/plain' }, 'no', 415,
        'unsupported-media-type');
    await put('gzip', 'zip.jpg', { ...JPEG, 'Content-Encoding': 'gzip' }, jpeg, 415,
        'unsupported-media-type');
    await put('a large body', 'large.jpg', JPEG, Buffer.alloc(70000), 413, 'body-too-large');
    await put('another picture', 'umbrella.jpg', JPEG, fs.readFileSync('web/examples/yin_yang.jpg'),
        409, 'picture-conflict');
    await expect('no body', askRaw(server, 'PUT /annotations/x.jpg HTTP/1.1\r\nHost: localhost\r\n' +
        'Content-Type: image/jpeg\r\nConnection: close\r\n\r\n'), route, 'put', 411,
    'length-required');
    await expect('a slow picture', askRaw(server, 'PUT /annotations/x.jpg HTTP/1.1\r\n' +
        'Host: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\nslow'), route,
    'put', 408, 'client-too-slow');
    await expect('an unknown picture', ask(server, 'GET', '/annotations/x.jpg'), route, 'get', 404,
        'unknown-picture');
    await expect('deleting an unknown picture', ask(server, 'DELETE', '/annotations/x.jpg'), route,
        'delete', 404, 'unknown-picture');
    await expect('deleting', ask(server, 'DELETE', '/annotations/umbrella.jpg'), route, 'delete', 204);
}

async function checkJobs(server, id) {
    const post = (name, body, status, problem, headers = JSON_TYPE) =>
        expect(`a job: ${name}`, ask(server, 'POST', '/jobs', headers, body), '/jobs', 'post', status,
            problem);
    const nobody = '0'.repeat(32);

    await post('all of a folder', '{"folder": "many", "map_scales": [1, 1.43], "class": null}', 202);
    const second = JSON.parse((await post('another', '{"folder": "one"}', 202)).body);
    await post('too many', '{"folder": "."}', 429, 'too-many-jobs');
    await post('no JSON', '{', 400, 'malformed-request');
    await post('a way out', '{"folder": "one/../.."}', 400, 'bad-parameter');
    await post('an unknown class', '{"folder": "one", "class": "zzz"}', 400, 'unknown-class');
    await post('an unknown folder', '{"folder": "two"}', 404, 'unknown-folder');
    await post('an unknown model', '{"folder": "one", "model": "x"}', 404, 'unknown-model');
    await post('a large body', Buffer.alloc(20000, 32), 413, 'body-too-large');
    await post('text', '{}', 415, 'unsupported-media-type', { 'Content-Type': 'text/plain' });
    await post('gzip', '{}', 415, 'unsupported-media-type',
        { ...JSON_TYPE, 'Content-Encoding': 'gzip' });
    await expect('a job without a body', askRaw(server, 'POST /jobs HTTP/1.1\r\nHost: localhost\r\n' +
        'Content-Type: application/json\r\nConnection: close\r\n\r\n'), '/jobs', 'post', 411,
    'length-required');
    await expect('a slow job', askRaw(server, 'POST /jobs HTTP/1.1\r\nHost: localhost\r\n' +
        'Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{'), '/jobs', 'post', 408,
    'client-too-slow');
    const list = await expect('the jobs', ask(server, 'GET', '/jobs'), '/jobs', 'get', 200);
    verdict('a job that has ended made room', list.body.includes(id) ? ['it is there'] : []);
    for (const status of [200, 204, 404])
        await expect(`DELETE of a job, ${status}`, ask(server, 'DELETE', `/jobs/${second.id}`),
            '/jobs/{id}', 'delete', status);
    await expect('an unknown job', ask(server, 'GET', `/jobs/${nobody}`), '/jobs/{id}', 'get', 404,
        'unknown-job');
    await expect('its lines', ask(server, 'GET', `/jobs/${nobody}/results`), '/jobs/{id}/results',
        'get', 404, 'unknown-job');
    await expect('no number of a line', ask(server, 'GET', `/jobs/${nobody}/results?from=x`),
        '/jobs/{id}/results', 'get', 400, 'bad-parameter');
}

// The lines of a job are described by the schemas of /localize.
async function checkLines(server, id) {
    let job;
    do
        job = JSON.parse((await ask(server, 'GET', `/jobs/${id}`)).body);
    while (job.state !== 'done');
    const { body } = await ask(server, 'GET', job.results);
    const { file, ...result } = JSON.parse(body);
    const check = ajv.compile({ $ref: 'http://api/#/components/schemas/Result' });
    verdict('a line of a job', file === 'one/0.jpg' && check({ ...result, request_id: 'x' }) ? [] :
        [ajv.errorsText(check.errors), body.slice(0, 300)]);
}

async function checkTokens() {
    const file = path.join(os.tmpdir(), `tokens-${process.pid}`);
    fs.writeFileSync(file, 'a-token-of-some-length\nlittle rate=1/h\nnone rights=admin\n',
        { mode: 0o600 });
    const server = await startReady('--model', model, '--token-file', file);
    for (const [route, method, target] of operations)
        if (api.paths[route][method].security === undefined)
            await expect(`${target} without a token`, ask(server, method.toUpperCase(), target), route,
                method, 401, 'unauthorized');
    // The first request takes all of the rate.
    const little = { Authorization: 'Bearer little' };
    await expect('a token with a rate', ask(server, 'GET', '/models', little), '/models', 'get', 200);
    for (const [route, method, target] of operations)
        if (api.paths[route][method].security === undefined)
            await expect(`${target} without a rate`,
                ask(server, method.toUpperCase(), target, little), route, method, 429,
                'rate-limited');
    await expect('a token without the right', ask(server, 'GET', '/models',
        { Authorization: 'Bearer none' }), '/models', 'get', 403, 'forbidden');
    await stop(server);
    // Without the page, a stranger is not told that its paths do not exist.
    const closed = await startReady('--model', model, '--token-file', file, '--no-web');
    for (const [target, route] of [['/', '/'], ['/app.js', '/{file}'], ['/nope', '/{file}'],
        ['/training', '/training'], ['/training/runs', '/training/runs']]) {
        await expect(`${target} without a page and a token`, ask(closed, 'GET', target), route, 'get',
            401, 'unauthorized');
        await expect(`${target} without a page`,
            ask(closed, 'GET', target, { Authorization: 'Bearer a-token-of-some-length' }), route,
            'get', 404, 'unknown-path');
    }
    await stop(closed);
    fs.unlinkSync(file);
}

// What changes the server, on the listener for that alone.
async function checkAdministration() {
    const file = path.join(os.tmpdir(), `model-${process.pid}.safetensors`);
    fs.copyFileSync(model, file);
    const server = await startReady('--model', file);
    const reload = (name, at, headers, status, problem) =>
        expect(name, ask(at, 'POST', '/reload', headers), '/reload', 'post', status, problem);
    await reload('a reload', server, {}, 200);
    await reload('a reload for a page', server, { Origin: 'http://x.example' }, 403, 'forbidden');
    await reload('a reload on the other listener', { admin: server.port }, {}, 404, 'unknown-path');
    fs.writeFileSync(file, 'no model');
    await reload('a reload of a broken file', server, {}, 500, 'reload-failed');
    await expect('no folder of models', ask(server, 'PUT', '/models/a', JSON_TYPE, '{}'),
        '/models/{name}', 'put', 403, 'forbidden');
    await stop(server);
    fs.unlinkSync(file);
    await checkModels();
}

async function checkModels() {
    const route = '/models/{name}';
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'adl-models-'));
    process.on('exit', () => fs.rmSync(folder, { recursive: true }));
    fs.copyFileSync(model, path.join(folder, 'a.safetensors'));
    fs.writeFileSync(path.join(folder, 'broken.safetensors'), 'no model');
    const server = await startReady('--model', model, '--models-dir', folder, '--keep-versions', '2',
        '--timeout', '2');
    const put = (name, body, status, problem, headers = JSON_TYPE) =>
        expect(`PUT ${name} ${JSON.stringify(body).slice(0, 60)}`,
            ask(server, 'PUT', `/models/${name}`, headers, JSON.stringify(body)), route, 'put', status,
            problem);
    const remove = (name, status, problem) =>
        expect(`DELETE ${name}`, ask(server, 'DELETE', `/models/${name}`), route, 'delete', status,
            problem);
    await put('a', { file: 'a.safetensors' }, 201);
    await put('a', { file: 'a.safetensors' }, 200);
    await put('b', { alias_of: 'a' }, 201);
    await put('b', { alias_of: 'default' }, 200);
    await put('b', { alias_of: 'nope' }, 404, 'unknown-model');
    await put('b', { file: 'a.safetensors' }, 409, 'model-conflict');
    await put('c', { file: 'nope.safetensors' }, 404, 'unknown-model-file');
    await put('c', { file: '../a.safetensors' }, 400, 'malformed-request');
    await put('c', { file: 'broken.safetensors' }, 422, 'unusable-model');
    await put('c', { file: 'a'.repeat(5000) }, 413, 'body-too-large');
    await put('c', {}, 415, 'unsupported-media-type', { 'Content-Type': 'text/plain' });
    await expect('no change', askRaw(server, 'PUT /models/c HTTP/1.1\r\nHost: localhost\r\n' +
        'Connection: close\r\n\r\n'), route, 'put', 411, 'length-required');
    await expect('a slow change', askRaw(server, 'PUT /models/c HTTP/1.1\r\nHost: localhost\r\n' +
        'Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{'), route, 'put', 408,
    'client-too-slow');
    const { model_version: version } = JSON.parse((await ask(server, 'GET', '/models/a')).body);
    await expect('a version', ask(server, 'GET', `/models/a@${version}`), route, 'get', 200);
    await expect('an alias', ask(server, 'GET', '/models/b'), route, 'get', 200);
    await expect('the list', ask(server, 'GET', '/models'), '/models', 'get', 200);
    for (const method of ['PUT', 'DELETE'])
        await expect(`${method} on the other listener`,
            ask({ admin: server.port }, method, '/models/a', JSON_TYPE, '{}'), route,
            method.toLowerCase(), 405, 'method-not-allowed');
    await remove('default', 409, 'model-conflict');
    await remove('nope', 404, 'unknown-model');
    await remove('b', 204);
    await remove('a', 204);
    await stop(server);
}

// A server that is loading, then full, then shutting down.
async function checkLoad() {
    const server = await start('--model', model, '--queue', '4', '--threads', '1', '--no-web');
    const faults = [];
    for (let ready = false; !ready;) {
        for (const [route, target] of [['/models', '/models'], ['/models/{name}', '/models/default'],
            ['/v2/health/ready', '/v2/health/ready'], ['/v2/models/{name}', '/v2/models/default'],
            ['/health', '/health'], ['/readyz', '/readyz']]) {
            const answer = await ask(server, 'GET', target);
            ready = answer.status === 200;
            faults.push(...faultsOf(answer, route, 'get'));
        }
    }
    verdict('answers while loading', faults);
    await expect('no page', ask(server, 'GET', '/'), '/', 'get', 404, 'unknown-path');
    await expect('no annotations', ask(server, 'GET', '/annotations'), '/annotations', 'get', 404,
        'unknown-path');
    await expect('no jobs', ask(server, 'GET', '/jobs'), '/jobs', 'get', 404, 'unknown-path');
    // Long enough for all that is asked before the server has drained.
    const work = ask(server, 'POST', '/localize?top_k=100&heatmap=png', FORM,
        form(...new Array(60).fill(jpeg)));
    for (let i = 0; i < 1000; i++)
        if (/\nadl_queue_depth\{[^}]*\} [1-9]/.test((await ask(server, 'GET', '/metrics')).body))
            break;
    const full = await ask(server, 'POST', '/localize', JPEG, jpeg);
    await expect('a full queue', full, '/localize', 'post', 503, 'queue-full');
    const ahead = await openAhead(server, operations.length + 3);
    server.child.kill('SIGTERM');
    for (let refused = false; !refused;)
        refused = await ask(server, 'GET', '/healthz').then(() => false, () => true);
    const drained = (method, target) => ask(server, method, target, {}, undefined, ahead);
    for (const [route, method, target] of operations)
        if (!['/healthz', '/metrics', '/status', '/v2/health/live', '/v2/health/ready'].includes(route))
            await expect(`${target} while draining`, drained(method.toUpperCase(), target), route,
                method, 503, 'draining');
    await expect('/v2/health/live while draining', drained('GET', '/v2/health/live'), '/v2/health/live',
        'get', 200);
    await expect('/v2/health/ready while draining', drained('GET', '/v2/health/ready'),
        '/v2/health/ready', 'get', 503);
    await expect('/healthz while draining', drained('GET', '/healthz'), '/healthz', 'get', 200);
    for (const socket of ahead)
        socket.destroy();
    await expect('what was accepted', work, '/localize', 'post', 200);
    verdict('the server ends', await server.ended === 0 ? [] : ['with another status than 0']);
}

// Only without memory, or when something is wrong with the server.
const UNSEEN = ['post /localize 500', 'get /v2/health/live 503',
    ...operations.filter(([route, method]) => method === 'post' && route.startsWith('/v2')).map(([route]) =>
        `post ${route} 500`), 'get /healthz 503', 'get /metrics 503', 'get /status 503',
    'post /jobs 500', 'get /jobs/{id}/results 500', 'put /annotations/{name} 500', 'delete /annotations/{name} 500', 'put /annotations/{name} 507'];

function checkSeen() {
    const described = operations.flatMap(([route, method]) =>
        Object.keys(api.paths[route][method].responses).map((code) => `${method} ${route} ${code}`));
    for (const one of described)
        if (!UNSEEN.includes(one))
            verdict(one, seen.has(one) ? [] : ['described, and never answered']);
}

async function checkClient(server) {
    const { run } = await import(path.resolve(process.argv[2]));
    const found = await run(`http://127.0.0.1:${server.port}`, jpeg);
    const { arch, input, class_count: classes } =
        JSON.parse((await ask(server, 'GET', '/models/default')).body);
    const { predictions } = JSON.parse((await ask(server, 'POST', '/localize', JPEG, jpeg)).body);
    const wanted = [`${arch.name} ${input.size[0]} ${classes}`, '404', '2 true', predictions[0].label,
        '/problems/unsupported-media-type', api.openapi];
    verdict('the generated client',
        JSON.stringify(found) === JSON.stringify(wanted) ? [] : [`${found}, expected ${wanted}`]);
}

async function main() {
    const kept = fs.mkdtempSync(path.join(os.tmpdir(), 'annotations-'));
    process.on('exit', () => fs.rmSync(kept, { recursive: true }));
    const server = await startReady('--model', model, '--timeout', '2', '--max-body', '60000',
        '--max-pixels', '180000', '--runs', makeRuns(), '--annotations', kept,
        '--jobs', makeFolders(), '--max-jobs', '2');
    const job = await makeJob(server);
    await checkLines(server, job);
    await ask(server, 'PUT', '/annotations/umbrella.jpg', JPEG, jpeg);
    await checkAll(server);
    await checkLocalize(server);
    await checkInference(server);
    await checkAnnotations(server);
    await checkJobs(server, job);
    if (process.argv[2])
        await checkClient(server);
    await stop(server);
    await checkTokens();
    await checkAdministration();
    await checkLoad();
    checkSeen();
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed > 0 ? 1 : 0);
}

main().catch((error) => {
    console.log(`FAIL: ${error.stack}`);
    console.log(`${passed} passed, ${failed + 1} failed`);
    process.exit(1);
});
