/* Line charts as SVG: a few lines over one axis, with ticks at multiples of 1, 2 or 5, and the values
 * under the cursor. The same rules as those of the report (server/report/report_svg.c). */

import { element, short, svg } from './dom.js';

/** @typedef {{name: string, colour: string, dashed: boolean, points: [number, number][]}} Line */
/** @typedef {{title: string, xName: string, lines: Line[], percent: boolean, log: boolean}} Chart */
/** @typedef {{from: number, to: number, step: number, log: boolean, start: number, end: number}} Axis */

const WIDTH = 520;
const HEIGHT = 240;
const LEFT = 50;
const RIGHT = 12;
const TOP = 14;
const BOTTOM = 34;

/** @param {Axis} axis @param {number} value */
function place(axis, value) {
    const scale = axis.log ? Math.log10 : (/** @type {number} */ v) => v;
    const share = (scale(value) - scale(axis.from)) / (scale(axis.to) - scale(axis.from));
    return axis.start + share * (axis.end - axis.start);
}

/** The least step of 1, 2 or 5 times a power of ten that divides a range into few parts.
 * @param {number} range @param {number} ticks */
function niceStep(range, ticks) {
    const power = 10 ** Math.floor(Math.log10(range / ticks));
    const part = range / ticks / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

/** @param {number[]} values @param {Chart} chart @returns {Axis} */
function axisOfY(values, { percent, log }) {
    let from = Math.min(...values);
    let to = Math.max(...values);
    const axis = { step: 0, log: false, start: HEIGHT - BOTTOM, end: TOP };
    if (log && from > 0 && to / from > 20) {
        return { ...axis, log: true, from: 10 ** Math.floor(Math.log10(from) + 1e-9),
            to: 10 ** Math.ceil(Math.log10(to) - 1e-9) };
    }
    if (percent || (from > 0 && from < 0.6 * to)) from = 0;
    if (to - from <= 1e-6 * Math.abs(to)) {
        from = to > 0 ? 0 : to - 1;
        to = to > 0 ? to * 1.25 : to + 1;
    }
    const step = niceStep(to - from, 5);
    to = Math.ceil(to / step - 1e-9) * step;
    return { ...axis, step, from: Math.floor(from / step + 1e-9) * step,
        to: percent ? Math.min(to, 100) : to };
}

/** @param {number[]} values @param {boolean} whole whether there is nothing between whole numbers
 * @returns {Axis} */
function axisOfX(values, whole) {
    const from = Math.min(...values);
    const to = Math.max(...values);
    const range = to > from ? to - from : 1;
    return { from: to > from ? from : from - 0.5, to: to > from ? to : to + 0.5, log: false,
        step: Math.max(niceStep(range, 6), whole ? 1 : 0), start: LEFT, end: WIDTH - RIGHT };
}

/** @param {Axis} axis @returns {number[]} */
function ticksOf(axis) {
    const ticks = [];
    if (axis.log) {
        for (let v = axis.from; v <= axis.to * 1.001; v *= 10) ticks.push(v);
        return ticks;
    }
    const first = Math.ceil(axis.from / axis.step - 1e-9);
    for (let i = first; i * axis.step <= axis.to + 1e-9 * axis.step; i++) ticks.push(i * axis.step);
    return ticks;
}

/** @param {Line} line @param {Axis} x @param {Axis} y */
function curve(line, x, y) {
    const path = line.points
        .map(([px, py], i) => `${i ? 'L' : 'M'}${place(x, px).toFixed(1)} ${place(y, py).toFixed(1)}`)
        .join('');
    const drawn = svg('g', {}, svg('path', { class: `curve${line.dashed ? ' second' : ''}`, d: path,
        stroke: line.colour }));
    if (line.points.length === 1) {
        const [[px, py]] = line.points;
        drawn.append(svg('circle', { cx: place(x, px), cy: place(y, py), r: 3.5, fill: line.colour }));
    }
    return drawn;
}

/** The point of a line nearest to a place on the x axis; points rise along it.
 * @param {Line} line @param {number} at */
function nearest(line, at) {
    return line.points.reduce((best, point) =>
        (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
}

/** Shows the values under the cursor, or at the place that the arrow keys chose.
 * @param {HTMLElement} figure @param {SVGElement} drawing @param {Chart} chart @param {Axis} x
 * @param {Axis} y */
function follow(figure, drawing, chart, x, y) {
    const cross = svg('line', { class: 'cross', y1: TOP, y2: HEIGHT - BOTTOM, visibility: 'hidden' });
    const dots = svg('g', {});
    const tip = element('div', { className: 'tip', hidden: '' });
    const places = [...new Set(chart.lines.flatMap((line) => line.points.map(([px]) => px)))]
        .sort((a, b) => a - b);
    let chosen = -1;
    /** @param {number} at */
    const show = (at) => {
        const px = place(x, at);
        cross.setAttribute('visibility', 'visible');
        cross.setAttribute('x1', String(px));
        cross.setAttribute('x2', String(px));
        dots.replaceChildren();
        const near = (places.length > 1 ? (x.to - x.from) / (places.length - 1) : 1) * 0.75;
        const rows = chart.lines.flatMap((line) => {
            const point = nearest(line, at);
            if (Math.abs(point[0] - at) > near) return [];
            dots.append(svg('circle', { cx: place(x, point[0]), cy: place(y, point[1]), r: 4,
                fill: line.colour }));
            const swatch = element('i');
            swatch.style.background = line.colour;
            return [element('span', {}, swatch, `${line.name}: ${short(point[1])}`)];
        });
        tip.replaceChildren(element('b', { text: `${chart.xName} ${short(at)}` }), ...rows);
        tip.hidden = false;
        const share = px / WIDTH;
        tip.style.left = share < 0.5 ? `calc(${share * 100}% + 12px)` : 'auto';
        tip.style.right = share < 0.5 ? 'auto' : `calc(${(1 - share) * 100}% + 12px)`;
    };
    const hide = () => {
        cross.setAttribute('visibility', 'hidden');
        dots.replaceChildren();
        tip.hidden = true;
        chosen = -1;
    };
    drawing.append(cross, dots);
    drawing.addEventListener('pointermove', (event) => {
        const box = drawing.getBoundingClientRect();
        const px = ((/** @type {PointerEvent} */ (event).clientX - box.left) / box.width) * WIDTH;
        const at = x.from + ((px - x.start) / (x.end - x.start)) * (x.to - x.from);
        chosen = places.reduce((best, value, i) =>
            (Math.abs(value - at) < Math.abs(places[best] - at) ? i : best), 0);
        show(places[chosen]);
    });
    drawing.addEventListener('pointerleave', hide);
    drawing.addEventListener('blur', hide);
    drawing.addEventListener('keydown', (event) => {
        const { key } = /** @type {KeyboardEvent} */ (event);
        const step = key === 'ArrowRight' ? 1 : key === 'ArrowLeft' ? -1 : 0;
        if (key === 'Escape') hide();
        if (step === 0) return;
        event.preventDefault();
        chosen = Math.min(Math.max(chosen + step, 0), places.length - 1);
        show(places[chosen]);
    });
    figure.append(tip);
}

/** Draws a chart into a figure, in place of what was there.
 * @param {HTMLElement} figure @param {Chart} chart */
export function drawChart(figure, chart) {
    const lines = chart.lines.filter((line) => line.points.length > 0);
    const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
    figure.replaceChildren(element('figcaption', { text: chart.title }), drawing);
    if (lines.length === 0) {
        drawing.setAttribute('aria-label', `${chart.title}: nothing yet`);
        drawing.append(svg('text', { x: WIDTH / 2, y: HEIGHT / 2, 'text-anchor': 'middle',
            class: 'empty' }, 'nothing yet'));
        return;
    }
    const x = axisOfX(lines.flatMap((line) => line.points.map(([px]) => px)), chart.xName === 'epoch');
    const y = axisOfY(lines.flatMap((line) => line.points.map(([, py]) => py)), chart);
    for (const tick of ticksOf(y)) {
        const at = place(y, tick);
        drawing.append(svg('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }),
            svg('text', { x: LEFT - 8, y: at + 4, 'text-anchor': 'end' }, short(tick)));
    }
    for (const tick of ticksOf(x)) {
        drawing.append(svg('text', { x: place(x, tick), y: HEIGHT - BOTTOM + 18,
            'text-anchor': 'middle' }, short(tick)));
    }
    drawing.append(...lines.map((line) => curve(line, x, y)));
    drawing.setAttribute('tabindex', '0');
    drawing.setAttribute('aria-label', `${chart.title}. ${lines.map((line) =>
        `${line.name}: last ${short(line.points[line.points.length - 1][1])}`).join('; ')}`);
    follow(figure, drawing, { ...chart, lines }, x, y);
}
