/* Debian's Firefox, driven by WebDriver BiDi (W3C), which it speaks without another program: a
 * WebSocket to the browser itself. Only what the tests need of it. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { patience } from './browser.mjs';

const firefoxPath = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

/** Why there is no Firefox to test with, or ''. */
export const missingFirefox = () => (existsSync(firefoxPath) ? '' : 'no firefox-esr');

/** Opens a WebSocket (RFC 6455): texts one way and the other, which is all that BiDi needs. */
function openSocket(url, onText) {
    return new Promise((resolve, reject) => {
        const asked = request(url.replace(/^ws/, 'http'), { headers: {
            Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
        } });
        asked.on('error', reject);
        asked.on('response', ({ statusCode }) => reject(new Error(`${url} answers ${statusCode}`)));
        asked.on('upgrade', (_, socket, head) => {
            let bytes = head;
            let message = [];
            const read = (data) => {
                bytes = Buffer.concat([bytes, data]);
                for (;;) {
                    const short = bytes.length > 1 ? bytes[1] & 127 : 0;
                    const start = short === 126 ? 4 : short === 127 ? 10 : 2;
                    if (bytes.length < start) return;
                    const length = short === 126 ? bytes.readUInt16BE(2)
                        : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
                    if (bytes.length < start + length) return;
                    const [first] = bytes;
                    const text = (first & 15) <= 1;
                    if (text) message.push(bytes.subarray(start, start + length));
                    bytes = bytes.subarray(start + length);
                    if (text && first & 128) {
                        onText(Buffer.concat(message).toString());
                        message = [];
                    }
                }
            };
            socket.on('data', read);
            socket.on('error', () => {});
            read(Buffer.alloc(0));
            /* What a client sends is masked. */
            const send = (text) => {
                const mask = randomBytes(4);
                const body = Buffer.from(text).map((byte, i) => byte ^ mask[i % 4]);
                const short = body.length < 126 ? body.length : body.length < 65536 ? 126 : 127;
                const size = Buffer.alloc(short < 126 ? 0 : short === 126 ? 2 : 8);
                if (short === 126) size.writeUInt16BE(body.length);
                if (short === 127) size.writeBigUInt64BE(BigInt(body.length));
                socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | short]), size, mask, body]));
            };
            resolve({ send, close: () => socket.destroy() });
        });
        asked.end();
    });
}

/** Starts Firefox without a window. `close()` ends it. */
export async function launchFirefox() {
    const profile = mkdtempSync(join(tmpdir(), 'adl-firefox-'));
    /* Nothing of its own goes to the network. */
    writeFileSync(join(profile, 'user.js'), ['app.update.enabled', 'browser.safebrowsing.malware.enabled',
        'browser.safebrowsing.phishing.enabled', 'network.captive-portal-service.enabled',
        'network.connectivity-service.enabled', 'datareporting.policy.dataSubmissionEnabled',
        'browser.region.update.enabled', 'extensions.update.enabled']
        .map((name) => `user_pref(${JSON.stringify(name)}, false);\n`).join(''));
    const child = spawn(firefoxPath, ['--headless', '--no-remote', '--profile', profile,
        '--remote-debugging-port=0', 'about:blank'],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, MOZ_CRASHREPORTER_DISABLE: '1' } });
    let said = '';
    const address = await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`Firefox does not answer: ${said}`)), patience / 4);
        child.stderr.on('data', (data) => {
            said += data;
            const found = /WebDriver BiDi listening on (ws:\S+)/.exec(said);
            if (found) {
                clearTimeout(timer);
                resolve(found[1]);
            }
        });
        child.on('exit', () => reject(new Error(said)));
    });
    const waiting = new Map();
    const listeners = [];
    let last = 0;
    const socket = await openSocket(`${address}/session`, (text) => {
        const message = JSON.parse(text);
        if (message.type === 'event') {
            listeners.forEach((listen) => listen(message));
            return;
        }
        const [resolve, reject] = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.type === 'success') resolve(message.result);
        else reject(new Error(`${message.error}: ${message.message}`));
    });
    const send = (method, params) => new Promise((resolve, reject) => {
        waiting.set(++last, [resolve, reject]);
        socket.send(JSON.stringify({ id: last, method, params }));
    });
    await send('session.new', { capabilities: {} });
    await send('session.subscribe', { events: ['log.entryAdded', 'network.beforeRequestSent'] });
    return {
        send,
        on: (listen) => listeners.push(listen),
        close: async () => {
            await send('browser.close', {}).catch(() => {});
            socket.close();
            if (child.exitCode === null) {
                const ended = new Promise((resolve) => { child.on('exit', resolve); });
                const timer = setTimeout(() => child.kill('SIGKILL'), 10000);
                await ended;
                clearTimeout(timer);
            }
            rmSync(profile, { recursive: true, force: true });
        },
    };
}

/** Opens a page in a tab of its own. */
export async function openInFirefox(firefox, url, { width = 1280, height = 900 } = {}) {
    const { context } = await firefox.send('browsingContext.create', { type: 'tab' });
    const said = [];
    const asked = [];
    firefox.on(({ method, params }) => {
        if (method === 'log.entryAdded' && params.source.context === context) said.push(params.text);
        if (method === 'network.beforeRequestSent' && params.context === context) asked.push(params.request.url);
    });
    await firefox.send('browsingContext.setViewport', { context, viewport: { width, height } });
    await firefox.send('browsingContext.navigate', { context, url, wait: 'complete' });
    /** What a function gives in the page, by way of JSON. */
    const evaluate = async (run, ...args) => {
        const { type, result, exceptionDetails } = await firefox.send('script.callFunction', {
            target: { context }, awaitPromise: true,
            functionDeclaration: `async (text) => JSON.stringify(await (${run})(...JSON.parse(text)) ?? null)`,
            arguments: [{ type: 'string', value: JSON.stringify(args) }],
        });
        assert.equal(type, 'success', exceptionDetails?.text);
        return JSON.parse(result.value);
    };
    const waitFor = async (run, ...args) => {
        for (const begin = Date.now(); Date.now() - begin < patience / 4;) {
            const value = await evaluate(run, ...args);
            if (value) return value;
            await new Promise((resolve) => { setTimeout(resolve, 50); });
        }
        throw new Error(`never true: ${run}`);
    };
    const node = async (selector) => {
        const { nodes: [found] } = await firefox.send('browsingContext.locateNodes',
            { context, locator: { type: 'css', value: selector } });
        return { sharedId: found.sharedId };
    };
    const perform = (actions) => firefox.send('input.performActions', { context, actions });
    const placeOf = (selector) => evaluate((each) => {
        const box = document.querySelector(each).getBoundingClientRect();
        return [Math.round(box.left + box.width / 2), Math.round(box.top + box.height / 2)];
    }, selector);
    const pointer = (...actions) => perform([{ type: 'pointer', id: 'mouse',
        parameters: { pointerType: 'mouse' }, actions }]);
    return {
        evaluate, waitFor,
        text: (id) => evaluate((each) => document.getElementById(each).textContent, id),
        setFiles: async (selector, files) => firefox.send('input.setFiles',
            { context, element: await node(selector), files }),
        click: async (selector) => {
            const [x, y] = await placeOf(selector);
            await pointer({ type: 'pointerMove', x, y }, { type: 'pointerDown', button: 0 },
                { type: 'pointerUp', button: 0 });
        },
        drag: (from, to) => pointer({ type: 'pointerMove', x: from[0], y: from[1] },
            { type: 'pointerDown', button: 0 },
            { type: 'pointerMove', x: to[0], y: to[1], duration: 100 }, { type: 'pointerUp', button: 0 }),
        wheel: (at, deltaY) => perform([{ type: 'wheel', id: 'wheel', actions: [
            { type: 'scroll', x: at[0], y: at[1], deltaX: 0, deltaY }] }]),
        press: (key) => perform([{ type: 'key', id: 'keys', actions: [
            { type: 'keyDown', value: key }, { type: 'keyUp', value: key }] }]),
        shot: async (path) => {
            const { data } = await firefox.send('browsingContext.captureScreenshot', { context });
            writeFileSync(path, Buffer.from(data, 'base64'));
        },
        /** Says whether the console stayed empty and every request went to the server. What begins with
         * data: goes nowhere; the browser's own style sheets have such fonts. */
        done: async () => {
            assert.deepEqual(said, []);
            const { origin } = new URL(url);
            assert.deepEqual(asked.filter((each) => ![`${origin}/`, `blob:${origin}/`, 'data:']
                .some((start) => each.startsWith(start))), []);
            await firefox.send('browsingContext.close', { context });
        },
    };
}
