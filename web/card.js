/* The card of a model: what it is, where it comes from, what was measured, how its maps are made; and how
 * the server does at this moment. All of it is what GET /models/{name} and GET /status say. */

import { serverStatus } from './api.js';
import { $, element } from './dom.js';
import { state, subscribe } from './state.js';
import { modelNamed, store } from './store.js';
import { t } from './text.js';

const STATUS_MS = 2000;
const MOST_FIGURES = 12;

/** @typedef {[string, string]} Row */

/** A number in few digits: 1.9 million, 0.273 billion. @param {number} value */
function large(value) {
    if (value >= 1e9) return t('card.billion', { value: (value / 1e9).toFixed(2) });
    if (value >= 1e6) return t('card.million', { value: (value / 1e6).toFixed(2) });
    return value.toLocaleString();
}

/** The words of the architecture: its name, and its settings where they are not plain ones.
 * @param {any} arch */
function architecture(arch = {}) {
    const settings = ['width', 'activation', 'padding', 'last_stride', 'method']
        .filter((key) => arch[key] !== undefined)
        .map((key) => `${key.replace('_', ' ')} ${arch[key]}`);
    return [arch.name, ...settings, arch.adl ? 'ADL' : ''].filter(Boolean).join(', ');
}

/** @param {any} info @returns {Row[]} */
function what(info) {
    const [height, width] = info.input?.size ?? [];
    return [
        ['arch', architecture(info.arch)],
        ['names', info.class_count?.toLocaleString()],
        ['parameters', info.parameters && large(info.parameters)],
        ['macs', info.macs && large(info.macs)],
        ['precision', info.precision],
        ['input', height && `${width} × ${height}`],
        ['memory', info.memory_bytes && t('card.mib', { value: (info.memory_bytes / 1048576).toFixed(1) })],
        ['digest', info.digest?.slice(0, 16)],
    ];
}

/** How maps are made and cut. @param {any} info @returns {Row[]} */
function mapRule({ cam = {}, threshold }) {
    const own = (cam.class_thresholds ?? []).filter((/** @type {any} */ value) => value !== null);
    return [
        ['weights', cam.map_weights],
        ['normalise', [cam.map_normalise, cam.map_percentile].filter((v) => v !== undefined).join(' ')],
        ['layer', cam.map_layer],
        ['scales', cam.map_scales?.join(', ')],
        ['flip', cam.map_flip ? t('card.yes') : ''],
        ['head', cam.foreground ? t('card.yes') : ''],
        ['threshold', threshold?.toFixed(3)],
        ['own', own.length ? t('card.classes', { count: own.length }) : ''],
    ];
}

/** Each training that the weights went through, the last first. @param {any} training @returns {Row[]} */
function lineage(training) {
    const rows = [];
    for (let run = training; run && rows.length < 12; run = run.begun_from) {
        const method = run.config?.method ?? '';
        const parts = [method, run.epochs && t('card.epochs', { count: run.epochs }),
            run.config?.images && t('card.images', { count: run.config.images }), run.data, run.program];
        rows.push(/** @type {Row} */ ([String(rows.length + 1), parts.filter(Boolean).join(' · ')]));
    }
    return rows;
}

/** Numbers by their names, such as top1_cls. @param {any} figures @returns {Row[]} */
function measured(figures) {
    return Object.entries(figures ?? {})
        .filter(([, value]) => typeof value === 'number')
        .slice(0, MOST_FIGURES)
        .map(([name, value]) => [name, Number(Number(value).toPrecision(4)).toString()]);
}

/** @param {string} title @param {Row[]} rows @param {boolean} named whether a name is the key of a text
 * @returns {HTMLElement[]} */
function section(title, rows, named) {
    const shown = rows.filter(([, value]) => value);
    if (shown.length === 0) return [];
    return [element('h3', { text: t(title) }), element('dl', { className: 'card-rows' },
        ...shown.flatMap(([name, value]) => [
            element('dt', { text: named ? t(`card.${name}`) : name }),
            element('dd', { text: value })]))];
}

function showModel() {
    const { name, info } = modelNamed(state.model);
    $('card-name').textContent = name;
    if (!info) return;
    $('card-model').replaceChildren(
        ...section('card.what', what(info), true),
        ...section('card.map', mapRule(info), true),
        ...section('card.metrics', measured(info.metrics ?? info.calibration), false),
        ...section('card.training', lineage(info.training), false));
}

/** @type {any} */
let before = null;

/** Milliseconds an image in each stage: since the last look, or since the start. @param {any} now
 * @returns {Row[]} */
function stages(now) {
    return Object.entries(now.stages).map(([name, { images, ms }]) => {
        const old = before?.stages[name] ?? { images: 0, ms: 0 };
        const count = images - old.images;
        const mean = count > 0 ? (ms - old.ms) / count : images > 0 ? ms / images : 0;
        return [`stage.${name}`, images > 0 ? t('card.ms', { value: mean.toFixed(1) }) : ''];
    });
}

async function showServer() {
    const now = await serverStatus(store.token).catch(() => null);
    const rows = /** @type {Row[]} */ (now ? [
        ['version', now.version],
        ['cpu', now.cpu],
        ['queue', t('card.of', { value: now.queue.images, all: now.queue.capacity })],
        ['connections', String(now.connections)],
        ...stages(now),
    ] : []);
    $('card-server').replaceChildren(...section('card.server', rows, true));
    before = now ?? before;
}

export function startCard() {
    const dialog = /** @type {HTMLDialogElement} */ ($('card'));
    let timer = 0;
    $('card-open').addEventListener('click', () => {
        showModel();
        void showServer();
        timer = window.setInterval(showServer, STATUS_MS);
        dialog.showModal();
    });
    dialog.addEventListener('close', () => clearInterval(timer));
    subscribe(['models', 'model', 'language'], () => {
        if (dialog.open) showModel();
    });
}
