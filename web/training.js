/* The page of training runs: which runs there are, which are chosen, and their curves as they grow.
 * The chosen runs are in the address of the page, so that a view can be shared. */

import { drawChart } from './training/charts.js';
import { $, element, input } from './training/dom.js';
import { showGallery, startGallery } from './training/gallery.js';
import * as server from './training/server.js';

/** @typedef {import('./training/server.js').Run} Run */
/** @typedef {import('./training/server.js').Row} Row */

const LINES_MS = 1500;   /* between two looks at the lines of the chosen runs */
const RUNS_MS = 6000;    /* between two looks at the list of runs and their pictures */
const AWAY_MS = 1000;    /* while the server does not answer */
const MOST_CHOSEN = 8;   /* as many as there are colours */

/** What is measured: title, whether in per cent or on a logarithmic axis, and the values of a line of
 * metrics.jsonl by name; the second of two is dashed.
 * @type {{title: string, percent?: boolean, log?: boolean,
 *     values: [string, (row: Row) => unknown][]}[]} */
const FIGURES = [
    { title: 'Training loss', values: [['loss', (row) => row.train_loss]] },
    { title: 'Classification, %', percent: true, values: [
        ['val', (row) => row.val?.top1_cls ?? row.val?.mean_average_precision],
        ['train', (row) => row.train_top1 ?? row.train_labels]] },
    { title: 'Localization on val, %', percent: true, values: [
        ['MaxBoxAccV2', (row) => row.val?.max_box_acc_v2 ?? row.val?.pxap],
        ['MaxBoxAcc', (row) => row.val?.max_box_acc]] },
    { title: 'Learning rate', log: true, values: [['rate', (row) => row.lr]] },
    { title: 'Images a second', values: [['images/s', (row) => row.images_per_second]] },
];

/** @type {Run[]} */
let runs = [];
/** The lines of each chosen run, and where the next ones begin.
 * @type {Map<string, {rows: Row[], next: number}>} */
const read = new Map();
/** The colour of each chosen run, which it keeps.
 * @type {Map<string, number>} */
const colours = new Map();
let touched = false; /* the user has chosen runs; before, the newest are */

/* --- which runs ------------------------------------------------------------ */

/** @param {string} name */
function colourOf(name) {
    return `var(--c${colours.get(name) ?? 0})`;
}

/** @param {string} name */
function choose(name) {
    const taken = new Set(colours.values());
    const free = Array.from({ length: MOST_CHOSEN }, (_, i) => i).find((i) => !taken.has(i));
    if (free === undefined) {
        $('live').textContent = `${MOST_CHOSEN} runs are the most that can be compared.`;
        return;
    }
    colours.set(name, free);
    read.set(name, { rows: [], next: 0 });
}

/** @param {string} name */
function drop(name) {
    colours.delete(name);
    read.delete(name);
}

function rememberChoice() {
    const words = new URLSearchParams([...colours.keys()].map((name) => ['run', name]));
    history.replaceState(null, '', words.size ? `#${words}` : location.pathname);
}

function recallChoice() {
    const names = new URLSearchParams(location.hash.slice(1)).getAll('run');
    touched = names.length > 0;
    [...colours.keys()].forEach(drop);
    names.slice(0, MOST_CHOSEN).forEach(choose);
}

/** @param {Run} run */
function describe(run) {
    const parts = [run.method, run.network, run.seed === undefined ? '' : `seed ${run.seed}`,
        run.epochs === undefined ? '' : `${run.epochs} epochs`,
        run.train_images === undefined ? '' : `${run.train_images} images`];
    return parts.filter(Boolean).join(' · ');
}

/** @param {number} seconds since 1970 */
function ago(seconds) {
    const passed = Date.now() / 1000 - seconds;
    if (passed < 90) return 'now';
    if (passed < 5400) return `${Math.round(passed / 60)} min ago`;
    if (passed < 129600) return `${Math.round(passed / 3600)} h ago`;
    return new Date(seconds * 1000).toISOString().slice(0, 10);
}

function showRuns() {
    const wanted = input('filter').value.trim().toLowerCase();
    const shown = runs.filter((run) =>
        `${run.name} ${describe(run)}`.toLowerCase().includes(wanted) || colours.has(run.name));
    const active = document.activeElement?.closest?.('.run')?.getAttribute('data-name');
    $('runs').replaceChildren(...shown.map((run) => {
        const state = element('span', { className: `run-state${run.running ? ' running' : ''}`,
            text: run.running ? 'running' : ago(run.changed) });
        const button = element('button', { className: 'run', type: 'button', 'data-name': run.name,
            'aria-pressed': String(colours.has(run.name)), title: run.command ?? '' },
        element('span', { className: 'swatch' }),
        element('span', { className: 'run-name', text: run.name }), state,
        element('span', { className: 'run-what', text: describe(run) }));
        if (colours.has(run.name)) button.style.setProperty('--run', colourOf(run.name));
        return element('li', {}, button);
    }));
    if (active) {
        const again = [...document.querySelectorAll('.run')]
            .find((button) => button.getAttribute('data-name') === active);
        /** @type {HTMLElement | undefined} */ (again)?.focus();
    }
}

/* --- curves ---------------------------------------------------------------- */

/** @param {string} name @param {(row: Row) => unknown} value
 * @returns {[number, number][]} */
function pointsOf(name, value) {
    const rows = read.get(name)?.rows ?? [];
    const byTime = input('by-time').checked;
    let seconds = 0;
    /** @type {[number, number][]} */
    const points = [];
    for (const row of rows) {
        const y = value(row);
        seconds += Number(row.seconds) || 0;
        const x = byTime ? seconds / 60 : Number(row.epoch);
        if (typeof y === 'number' && Number.isFinite(y) && Number.isFinite(x)) points.push([x, y]);
    }
    return points;
}

function showCurves() {
    const names = [...colours.keys()];
    const figures = FIGURES.flatMap((figure) => {
        const lines = names.flatMap((name) => figure.values.map(([what, value], i) => ({
            name: [names.length > 1 ? name : '', figure.values.length > 1 || names.length === 1
                ? what : ''].filter(Boolean).join(' '),
            colour: colourOf(name), dashed: i > 0, points: pointsOf(name, value) })));
        return lines.some((line) => line.points.length) || figure === FIGURES[0]
            ? [{ title: figure.title + (figure.values.length > 1
                ? ` — ${figure.values[0][0]}, dashed ${figure.values[1][0]}` : ''),
            xName: input('by-time').checked ? 'minute' : 'epoch',
            lines, percent: figure.percent ?? false, log: figure.log ?? false }] : [];
    });
    const charts = $('charts');
    while (charts.childElementCount > figures.length) charts.lastElementChild?.remove();
    while (charts.childElementCount < figures.length) {
        charts.append(element('figure', { className: 'chart' }));
    }
    figures.forEach((figure, i) => {
        const place = /** @type {HTMLElement} */ (charts.children[i]);
        /* A chart under the cursor, or with the focus, is drawn again only if it has grown. */
        const key = JSON.stringify(figure);
        if (place.dataset.key === key) return;
        const focused = place.contains(document.activeElement);
        place.dataset.key = key;
        drawChart(place, figure);
        if (focused) place.querySelector('svg')?.focus();
    });
    $('curves-note').hidden = names.length > 0;
}

/* --- looking again ---------------------------------------------------------- */

/** @param {string} state @param {string} text */
function showStatus(state, text) {
    $('status').dataset.state = state;
    if ($('status-text').textContent !== text) $('status-text').textContent = text;
}

/** Reads what is new of a run; an epoch that was written twice, after a resume, counts once.
 * @param {string} name */
async function readLines(name) {
    for (;;) {
        const known = read.get(name);
        if (!known) return;
        const answer = await server.lines(name, known.next).catch((error) => {
            if (error instanceof server.Refused && error.status === 404) return null;
            throw error;
        });
        if (!answer || read.get(name) !== known) return;
        if (answer.anew) known.rows = [];
        for (const row of answer.lines) {
            known.rows = known.rows.filter((old) => old.epoch < row.epoch);
            known.rows.push(row);
        }
        known.next = answer.next;
        if (!answer.more && !answer.anew) return;
    }
}

async function lookAtRuns() {
    const answer = await server.runs();
    runs = answer.runs;
    if (!touched && colours.size === 0) {
        [...runs].sort((a, b) => b.changed - a.changed).slice(0, 2)
            .sort((a, b) => (a.name < b.name ? -1 : 1)).forEach((run) => choose(run.name));
    }
    const running = runs.filter((run) => run.running).length;
    showStatus('live', running ? `${running} running` : 'up to date');
    $('runs-note').textContent = runs.length === 0 ? 'There are no runs below the directory yet.'
        : answer.more ? 'There are more runs than are listed.' : '';
    showRuns();
    await showGallery([...colours.keys()].map((name) => ({ name, colour: colourOf(name),
        pictures: runs.find((run) => run.name === name)?.pictures ?? false })));
}

let nextRuns = 0;
/** @type {number | undefined} */
let timer;

async function look() {
    clearTimeout(timer);
    let pause = LINES_MS;
    try {
        if (performance.now() >= nextRuns) {
            await lookAtRuns();
            nextRuns = performance.now() + RUNS_MS;
        }
        await Promise.all([...colours.keys()].map(readLines));
        showCurves();
        $('token-form').hidden = true;
    } catch (error) {
        const status = error instanceof server.Refused ? error.status : -1;
        nextRuns = 0;
        pause = AWAY_MS;
        $('token-form').hidden = status !== 401;
        showStatus('away', status === 401 ? 'a token is needed' : status === 0
            ? 'no answer from the server; trying again' : String(/** @type {Error} */ (error).message));
        if (status === 401) return;
    }
    timer = window.setTimeout(look, document.hidden ? 4 * pause : pause);
}

function lookNow() {
    nextRuns = 0;
    look();
}

$('runs').addEventListener('click', (event) => {
    const button = /** @type {Element} */ (event.target).closest('.run');
    const name = button?.getAttribute('data-name');
    if (!name) return;
    touched = true;
    if (colours.has(name)) drop(name);
    else choose(name);
    rememberChoice();
    showRuns();
    showCurves();
    lookNow();
});
input('filter').addEventListener('input', showRuns);
input('by-time').addEventListener('change', showCurves);
window.addEventListener('hashchange', () => {
    recallChoice();
    lookNow();
});
document.addEventListener('visibilitychange', () => {
    if (!document.hidden) look();
});
$('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    server.useToken(input('token').value.trim());
    lookNow();
});

recallChoice();
startGallery();
look();
