/* All texts that a person reads, and the one function that gives them. A text may name values in
 * braces; where a number decides its form, it is an object with the forms that Intl.PluralRules
 * names. The texts in index.html repeat those of the elements with data-t, so that the page can be
 * read before its scripts are there; tests/browser/text.test.mjs compares them.
 *
 * Another language is another table with the same keys, given to useLanguage(). */

import { touch } from './state.js';

/** @typedef {Record<string, string | Record<string, string>>} Table */

/** @type {Table} */
export const english = {
    'number.percent': '{value} %',

    'page.description': 'Find the object in a photograph: its name, a heatmap and a box.',
    'page.title': '{name} – adl-server',
    'page.skip': 'Skip to the image',
    'page.drop': 'Drop to analyse',
    'page.noscript': 'This page needs JavaScript. Without it, send an image with curl: POST /localize.',

    'bar.model': 'Model',
    'bar.help': 'Keyboard',
    'health.checking': 'connecting…',
    'health.ready': 'ready',
    'health.loading': 'loading model…',
    'health.away': 'no connection',

    'token.title': 'This server requires a token',
    'token.explain': 'Paste the token you were given. It is kept in this tab’s memory and forgotten when you close it.',
    'token.label': 'Token',
    'token.continue': 'Continue',
    'token.wrong': 'That token was not accepted.',

    'empty.title': 'Show it a photograph',
    'empty.lead': 'A neural network names the object, paints a heatmap of what convinced it, and draws a box around it.',
    'empty.drop': 'Drop images here',
    'empty.paste': 'or paste one with Ctrl V',
    'empty.choose': 'Choose images',
    'empty.photo': 'Take a photo',
    'empty.fine': 'JPEG, PNG or WebP. Images are sent to this server only.',
    'empty.examples': 'or try one of these',
    'empty.missing': 'This address shows a picture that is not in this browser. Add the picture, and the view is there.',
    'example.umbrella': 'A drawing: an umbrella',
    'example.yin_yang': 'A drawing: yin and yang',
    'example.starfish': 'A drawing: a starfish',

    'work.label': 'Images and results',
    'strip.label': 'Images',
    'strip.add': 'Add',
    'strip.photo': 'Take a photo',
    'strip.remove': 'Remove {name}',
    'strip.status': '{name}, {status}',
    'status.waiting': 'waiting',
    'status.busy': 'being analysed',
    'status.error': 'failed',
    'picture.pasted': 'pasted image',

    'stage.label': 'The image. Plus and minus zoom, 0 fits, i reads the values under a cursor, ? lists all keys.',
    'stage.image': 'The image',
    'stage.described': '{name}: {label}, {score}',
    'stage.described.hardly': '; hardly seen here',
    'stage.described.box': '; box from {x0}, {y0} to {x1}, {y1}',
    'stage.in': 'Zoom in',
    'stage.out': 'Zoom out',
    'stage.fit': 'Fit',
    'stage.pixels': 'Show pixel for pixel',
    'readout.place': '{x}, {y}',
    'readout.value': '{value} {label}',
    'inspect.on': 'Arrow keys move the cursor.',
    'inspect.off': 'The cursor is off.',

    'busy.analysing': 'Analysing…',
    'busy.waiting': 'Waiting…',
    'busy.model': 'Waiting for the model…',
    'busy.later': 'The server is busy. Trying again in {seconds} s…',

    'controls.label': 'Display settings',
    'controls.heat': 'Heatmap',
    'controls.threshold': 'Threshold',
    'controls.default': 'model’s default',
    'controls.colours': 'Colours',
    'controls.boxes': 'Boxes to show',
    'controls.largest': 'Largest box',
    'controls.all': 'All boxes',
    'controls.objects': 'Objects',
    'controls.objects.title': 'Regions are parted between the peaks of the map',
    'controls.outline': 'Outline',
    'colours.inferno': 'Inferno',
    'colours.viridis': 'Viridis',
    'colours.magma': 'Magma',
    'colours.cividis': 'Cividis (for all eyes)',

    'map.title': 'Map',
    'map.label': 'How the map is made',
    'map.flip': 'Average with the mirrored image',
    'map.scales': 'Input scales',
    'map.layer': 'Layers',
    'map.layer.none': 'last one alone',
    'map.layer.choice': '{layer}, {method}',
    'map.and': '{list} and {last}',
    'map.mirrored': 'mirrored',
    'map.scaled': 'scales {scales}',
    'map.plain': 'of the image as it is',
    'map.cost': 'Takes about {times} times as long as the image alone.',
    'map.cost.none': 'Takes no longer than the image alone.',

    'result.title': 'What it sees',
    'result.keys': 'keys 1–5',
    'search.label': 'Another class',
    'search.hint': 'Look for another class…',
    'search.find': 'Look for this class',
    'search.options': 'Classes',
    'search.busy': 'Looking for {label}…',
    'search.none': 'This model knows nothing like “{text}”.',
    'boxes.title': { one: 'Box', other: '{count} boxes', zero: 'Box' },
    'boxes.strength': 'pixels · mean strength inside',
    'boxes.chance': 'pixels · chance that it is right',
    'boxes.more': 'and {count} smaller',
    'boxes.none': 'Nothing stands out.',
    'boxes.hardly': '{label} is hardly seen here, so its heat is dimmed.',
    'timing.decode': 'decode',
    'timing.queue': 'queue',
    'timing.inference': 'inference',
    'timing.total': 'total',
    'announce.class': '{label}, {score}',
    'announce.nothing': 'Nothing found',

    'action.overlay': 'Save overlay',
    'action.json': 'Copy JSON',
    'action.curl': 'Copy curl',
    'action.shell': 'The same request from a shell',
    'action.shell.label': 'curl command',
    'action.failed': 'Failed',
    'action.copied': 'Copied',
    'action.saved': 'Saved',

    'compare.start': 'Compare',
    'compare.title': 'Beside it',
    'compare.close': 'Close the comparison',
    'compare.swap': 'Swap',
    'compare.model': 'Model',
    'compare.class': 'Class',
    'compare.same': 'the same',
    'compare.difference': 'Difference',
    'compare.difference.title': 'The left map minus the right one: orange where the left is stronger, blue where the right is',
    'compare.overlap': 'The boxes overlap by {iou} (IoU).',

    'problem.unknown': 'Something went wrong',
    'problem.request': 'Request {id}',
    'problem.retry': 'Try again',
    'problem.refused': 'The server refused the request',
    'problem.status': 'The server answered with status {status}.',
    'problem.away': 'No answer from the server',
    'problem.away.detail': 'It may have been stopped, or it closed the connection early.',
    'problem.unreadable': 'The answer could not be read',
    'problem.unreadable.detail': 'The connection was interrupted, or this is not an adl-server.',
    'problem.type': 'Not a supported image',
    'problem.type.detail': '“{name}” is not a JPEG, PNG or WebP file.',
    'problem.large': 'This image has {size} MiB, which may be more than the server accepts.',

    'help.title': 'Keyboard',
    'help.close': 'Close',
    'key.class': 'show one of the classes',
    'key.arrows': 'the picture before or after; in the stage, move what is in view',
    'key.in': 'zoom in',
    'key.out': 'zoom out',
    'key.fit': 'the whole picture',
    'key.pixels': 'pixel for pixel',
    'key.threshold': 'threshold down or up',
    'key.boxes': 'largest box, all boxes, objects',
    'key.heat': 'heatmap off or on',
    'key.compare': 'compare two models or classes',
    'key.difference': 'difference of the two',
    'key.inspect': 'read values with the arrow keys (Shift: pixel by pixel)',
    'key.help': 'this list',
};

let table = english;
let rules = new Intl.PluralRules('en');

/**
 * The text of a key with its values; the key itself if there is none, so that a gap is seen.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
    const entry = table[key] ?? english[key] ?? key;
    const count = Number(values.count);
    const text = typeof entry === 'string' ? entry
        : (count === 0 && entry.zero) || entry[rules.select(count)] || entry.other;
    return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Speaks another language from now on.
 * @param {string} language as in the lang attribute @param {Table} texts
 */
export function useLanguage(language, texts) {
    table = texts;
    rules = new Intl.PluralRules(language);
    document.documentElement.lang = language;
    translatePage();
    touch('language');
}

/* What an attribute of the page names a text for. */
const PLACES = /** @type {const} */ ([
    ['data-t', null], ['data-t-title', 'title'], ['data-t-label', 'aria-label'],
    ['data-t-hint', 'placeholder'], ['data-t-alt', 'alt'],
]);

/** Gives the elements of the page their texts. @param {ParentNode} [root] */
export function translatePage(root = document) {
    for (const [place, attribute] of PLACES) {
        for (const node of root.querySelectorAll(`[${place}]`)) {
            const text = t(node.getAttribute(place) ?? '');
            if (attribute) {
                node.setAttribute(attribute, text);
            } else if (node.textContent !== text) {
                node.textContent = text;
            }
        }
    }
}
