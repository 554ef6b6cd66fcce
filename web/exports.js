/* Boxes as the files of other tools: COCO, YOLO, Pascal VOC, Label Studio and CSV. What the program
 * writes in the same format is written here in the same way (server/tasks/coco.c, box_formats.c),
 * which tests/browser/exports_program.test.mjs compares. These functions are pure;
 * tests/browser/exports.test.mjs tests them.
 *
 * A picture is {name, width, height, boxes}; its name may be a path with slashes. A box is
 * {x0, y0, x1, y1, label} in pixels of the picture, both ends inclusive, and may have a `score`,
 * 0..1, if nobody has looked at it yet. The classes are names in the order of their ids; labels
 * that are none of them follow after them. */

import { safePath, zip } from './zip.js';

/** @typedef {{x0: number, y0: number, x1: number, y1: number, label: string, score?: number}}
 *     LabelledBox */
/** @typedef {{name: string, width: number, height: number, boxes: LabelledBox[],
 *     drafted?: boolean}} Picture a picture, `drafted` if nobody has looked at it, which its boxes say
 *     where there are any */
/** @typedef {{name: string, type: string, data: string | Uint8Array}} ExportFile */

/** The classes, and after them the labels of boxes that are none. Two classes may have one name,
 * and each keeps its number; a label means the first.
 * @param {Picture[]} pictures @param {string[]} classes */
export function allClasses(pictures, classes) {
    const known = new Set(classes);
    const others = pictures.flatMap(({ boxes }) => boxes.map(({ label }) => label))
        .filter((label) => !known.has(label));
    return [...classes, ...new Set(others)];
}

/** @param {string[]} classes */
const numbersOf = (classes) =>
    new Map(classes.map((label, index) => /** @type {const} */ ([label, index])).reverse());

/* A number with at most six decimals, without trailing zeros. */
const short = (/** @type {number} */ v) => String(Number(v.toFixed(6)));

const widthOf = (/** @type {LabelledBox} */ box) => box.x1 - box.x0 + 1;
const heightOf = (/** @type {LabelledBox} */ box) => box.y1 - box.y0 + 1;

/** The path without its extension; later pictures of the same stem get -2, -3, and so on, so that
 * no file replaces another, nor takes the name that belongs to another picture.
 * @param {Picture[]} pictures */
function stems(pictures) {
    const own = pictures.map(({ name }) => safePath(name).replace(/(?<=[^/])\.[^./]*$/, ''));
    const reserved = new Set(own);
    const taken = new Set();
    return own.map((stem) => {
        let unique = stem;
        for (let n = 2; taken.has(unique) || (unique !== stem && reserved.has(unique)); n++) {
            unique = `${stem}-${n}`;
        }
        taken.add(unique);
        return unique;
    });
}

/* --- COCO ------------------------------------------------------------------ */

/** One file with info, images, annotations and categories; all ids begin at 1, and category 1 is
 * class 0. COCO's boxes are half-open: from the left edge of the first pixel to the right edge of
 * the last. The segmentation is the box as a polygon; some tools draw nothing without one.
 * @param {Picture[]} pictures @param {string[]} classes @param {string} [version] */
export function cocoOf(pictures, classes, version = '') {
    const categories = allClasses(pictures, classes);
    const numbers = numbersOf(categories);
    /** @type {object[]} */
    const annotations = [];
    pictures.forEach(({ boxes }, picture) => {
        for (const box of boxes) {
            const { x0: x, y0: y, label, score } = box;
            const w = widthOf(box);
            const h = heightOf(box);
            annotations.push({
                id: annotations.length + 1, image_id: picture + 1,
                category_id: Number(numbers.get(label)) + 1, bbox: [x, y, w, h], area: w * h,
                iscrowd: 0, segmentation: [[x, y, x + w, y, x + w, y + h, x, y + h]],
                ...(score === undefined ? {} : { score }),
            });
        }
    });
    return {
        info: {
            description: 'boxes from the web page of adl-server; ids begin at 1',
            version: '1.0', contributor: `adl-server ${version}`.trim(),
        },
        licenses: [],
        images: pictures.map(({ name, width, height }, index) =>
            ({ id: index + 1, file_name: name, width, height })),
        annotations,
        categories: categories.map((name, index) => ({ id: index + 1, name, supercategory: '' })),
    };
}

/* --- YOLO ------------------------------------------------------------------ */

/** A line for each box: class, then centre and size as fractions of the picture's sides.
 * @param {Picture} picture @param {Map<string, number>} numbers */
function yoloLines({ width, height, boxes }, numbers) {
    return boxes.map((box) => {
        const w = widthOf(box);
        const h = heightOf(box);
        const place = [(box.x0 + w / 2) / width, (box.y0 + h / 2) / height, w / width, h / height];
        return `${numbers.get(box.label)} ${place.map((v) => v.toFixed(6)).join(' ')}\n`;
    }).join('');
}

/** A double-quoted YAML scalar: a JSON string that also escapes the controls and noncharacters that
 * YAML 1.2 does not let stand. @param {string} text */
const yamlText = (text) => JSON.stringify(text).replace(/[\u007f-\u009f\ufffe\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The layout that Ultralytics reads: labels/NAME.txt beside images/NAME.jpg, classes.txt and
 * data.yaml. A picture without boxes has an empty file: nothing is on it.
 * @param {Picture[]} pictures @param {string[]} classes
 * @returns {{name: string, data: string}[]} */
export function yoloFiles(pictures, classes) {
    const names = allClasses(pictures, classes);
    const numbers = numbersOf(names);
    const texts = stems(pictures).map((stem, index) =>
        ({ name: `labels/${stem}.txt`, data: yoloLines(pictures[index], numbers) }));
    const yaml = ['train: images', 'val: images', 'names:',
        ...names.map((name, index) => `  ${index}: ${yamlText(name)}`), ''];
    return [
        { name: 'data.yaml', data: yaml.join('\n') },
        { name: 'classes.txt', data: names.map((name) =>
            `${name.replace(/[\r\n]/g, ' ')}\n`).join('') },
        ...texts,
    ];
}

/* --- Pascal VOC ------------------------------------------------------------ */

/** @param {string | number} text characters that XML 1.0 cannot hold become "?" */
function xmlText(text) {
    return String(text)
        .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '?')
        .replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
        .replaceAll('"', '&quot;');
}

/** One picture as VOC2007 wrote it: pixels are counted from 1, and both ends are inside.
 * @param {Picture} picture */
export function vocXml({ name, width, height, boxes }) {
    const slash = name.lastIndexOf('/');
    const objects = boxes.map((box) => `    <object>
        <name>${xmlText(box.label)}</name>
        <pose>Unspecified</pose>
        <truncated>0</truncated>
        <difficult>0</difficult>
        <bndbox>
            <xmin>${box.x0 + 1}</xmin>
            <ymin>${box.y0 + 1}</ymin>
            <xmax>${box.x1 + 1}</xmax>
            <ymax>${box.y1 + 1}</ymax>
        </bndbox>
    </object>
`);
    return `<annotation>
    <folder>${xmlText(name.slice(0, Math.max(slash, 0)) || 'images')}</folder>
    <filename>${xmlText(name.slice(slash + 1))}</filename>
    <source>
        <database>adl-server</database>
    </source>
    <size>
        <width>${width}</width>
        <height>${height}</height>
        <depth>3</depth>
    </size>
    <segmented>0</segmented>
${objects.join('')}</annotation>
`;
}

/** @param {Picture[]} pictures @returns {{name: string, data: string}[]} */
export function vocFiles(pictures) {
    return stems(pictures).map((stem, index) =>
        ({ name: `Annotations/${stem}.xml`, data: vocXml(pictures[index]) }));
}

/* --- Label Studio ---------------------------------------------------------- */

/** A task for each picture. What nobody has looked at (boxes with scores, or that there are none) is
 * a prediction, which Label Studio offers for correction; the rest is an annotation. Its numbers are percentages of the
 * picture's sides. The labelling interface needs an Image called "image" and RectangleLabels called
 * "label".
 * @param {Picture[]} pictures @param {string} [model] the name of the model that drafted */
export function labelStudioOf(pictures, model = 'adl-server') {
    return pictures.map(({ name, width, height, boxes, drafted: untouched = false }) => {
        const result = boxes.map((box, index) => ({
            id: `box${index + 1}`, type: 'rectanglelabels', from_name: 'label', to_name: 'image',
            original_width: width, original_height: height, image_rotation: 0,
            value: {
                rotation: 0,
                x: Number(short((100 * box.x0) / width)),
                y: Number(short((100 * box.y0) / height)),
                width: Number(short((100 * widthOf(box)) / width)),
                height: Number(short((100 * heightOf(box)) / height)),
                rectanglelabels: [box.label],
            },
            ...(box.score === undefined ? {} : { score: Number(short(box.score)) }),
        }));
        const drafted = boxes.length > 0 ? boxes.every((box) => box.score !== undefined) : untouched;
        return {
            data: { image: name },
            annotations: drafted ? [] : [{ result }],
            predictions: drafted ? [{
                model_version: model, result,
                score: Number(short(Math.max(0, ...boxes.map((box) => Number(box.score))))),
            }] : [],
        };
    });
}

/* --- CSV ------------------------------------------------------------------- */

/** RFC 4180. A spreadsheet takes a text that begins with one of = + - @ for a formula, even in
 * quotes; such names come from files and models, so an apostrophe goes before them.
 * @param {string | number} value */
function csvField(value) {
    if (typeof value === 'number') {
        return short(value);
    }
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A line for each box; a picture without boxes has one line without label and box.
 * @param {Picture[]} pictures */
export function csvOf(pictures) {
    const lines = [['file', 'width', 'height', 'label', 'x0', 'y0', 'x1', 'y1', 'score']];
    /** @type {(string | number)[][]} */
    const rows = lines;
    for (const { name, width, height, boxes } of pictures) {
        if (boxes.length === 0) {
            rows.push([name, width, height, '', '', '', '', '', '']);
        }
        for (const { label, x0, y0, x1, y1, score } of boxes) {
            rows.push([name, width, height, label, x0, y0, x1, y1, score ?? '']);
        }
    }
    return rows.map((row) => `${row.map(csvField).join(',')}\n`).join('');
}

/* --- all ------------------------------------------------------------------- */

export const FORMATS = ['coco', 'yolo', 'voc', 'label-studio', 'csv'];

/** One file to save; formats of many files become an archive.
 * @param {string} format one of FORMATS @param {Picture[]} pictures @param {string[]} classes
 * @param {{model?: string, version?: string, when?: Date}} [about]
 * @returns {ExportFile} */
export function exportBoxes(format, pictures, classes, { model, version, when } = {}) {
    const json = (/** @type {object} */ value) => `${JSON.stringify(value)}\n`;
    switch (format) {
    case 'coco':
        return { name: 'boxes-coco.json', type: 'application/json',
            data: json(cocoOf(pictures, classes, version)) };
    case 'yolo':
        return { name: 'boxes-yolo.zip', type: 'application/zip',
            data: zip(yoloFiles(pictures, classes), when) };
    case 'voc':
        return { name: 'boxes-voc.zip', type: 'application/zip', data: zip(vocFiles(pictures), when) };
    case 'label-studio':
        return { name: 'boxes-label-studio.json', type: 'application/json',
            data: json(labelStudioOf(pictures, model)) };
    case 'csv':
        return { name: 'boxes.csv', type: 'text/csv', data: csvOf(pictures) };
    default:
        throw new RangeError(`There is no format "${format}".`);
    }
}
