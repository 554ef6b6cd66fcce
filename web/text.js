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
    'page.tools': 'A part of this page did not arrive. Reload the page to try again; nothing is lost.',
    'page.noscript': 'This page needs JavaScript. Without it, send an image with curl: POST /localize.',

    'bar.model': 'Model',
    'bar.help': 'Keyboard',
    'bar.card': 'About this model',
    'foot.about': 'How it works',
    'foot.training': 'Training runs',
    'foot.label': 'Other pages',
    'health.checking': 'connecting…',
    'health.ready': 'ready',
    'health.loading': 'loading model…',
    'health.away': 'no connection',

    'card.close': 'Close',
    'card.what': 'Model',
    'card.map': 'From map to box',
    'card.metrics': 'Measured',
    'card.training': 'Trained, the last first',
    'card.server': 'Server',
    'card.arch': 'architecture',
    'card.classes': { one: '{count} class', other: '{count} classes' },
    'card.names': 'classes',
    'card.parameters': 'parameters',
    'card.macs': 'multiply-adds',
    'card.precision': 'precision',
    'card.input': 'input, pixels',
    'card.memory': 'memory',
    'card.digest': 'digest',
    'card.weights': 'weights',
    'card.normalise': 'normalised by',
    'card.layer': 'joined with layer',
    'card.scales': 'scales',
    'card.flip': 'mirrored too',
    'card.head': 'few-box head',
    'card.threshold': 'threshold',
    'card.own': 'own thresholds',
    'card.version': 'version',
    'card.cpu': 'processor',
    'card.queue': 'queue',
    'card.connections': 'connections',
    'card.stage.decode': 'decode',
    'card.stage.queue': 'wait',
    'card.stage.inference': 'network',
    'card.stage.postprocess': 'boxes',
    'card.stage.encode': 'answer',
    'card.yes': 'yes',
    'card.million': '{value} million',
    'card.billion': '{value} billion',
    'card.mib': '{value} MiB',
    'card.ms': '{value} ms an image',
    'card.of': '{value} of {all}',
    'card.epochs': { one: '{count} epoch', other: '{count} epochs' },
    'card.images': { one: '{count} image', other: '{count} images' },

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
    'empty.fine': 'Any format that the browser shows. Images are sent to this server only.',
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
    'compare.methods': '{first} beside {second}',
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

    'language.label': 'Language',

    'empty.folder': 'Choose a folder',
    'strip.folder': 'Add a folder',
    'strip.tools': 'Filter and order',
    'strip.count': { one: '{count} picture', other: '{count} pictures' },
    'strip.shown': '{shown} of {count} pictures',
    'strip.progress': '{done} of {count} analysed',
    'strip.reading': { one: 'Reading… {count} picture so far', other: 'Reading… {count} pictures so far', zero: 'Reading…' },
    'strip.stop': 'Stop',
    'strip.resume': 'Go on',
    'strip.stopped': 'stopped',
    'strip.removed': '{name} removed',
    'strip.unread': { one: 'There is no picture in {count} file.', other: 'There is no picture in {count} files.' },
    'strip.unreadable': { one: '{count} file could not be read.', other: '{count} files could not be read.' },
    'filter.label': 'Class',
    'filter.label.all': 'All classes',
    'filter.label.one': '{label} ({count})',
    'filter.score': 'Score',
    'filter.score.all': 'Any score',
    'filter.score.low': 'Below 50 %',
    'filter.score.middle': '50 to 90 %',
    'filter.score.high': '90 % and more',
    'filter.seen': 'Reviewed',
    'filter.seen.all': 'Reviewed or not',
    'filter.seen.open': 'Not reviewed',
    'filter.seen.done': 'Reviewed',
    'filter.sort': 'Order',
    'filter.sort.none': 'As they came',
    'filter.sort.certain': 'Least certain first',
    'filter.sort.name': 'By name',

    'sent.format': 'The server cannot read this file type, so a JPEG copy was sent.',
    'sent.bytes': 'This picture has {has} MiB; this server takes {takes}. A copy of {width} × {height} pixels was sent.',
    'sent.pixels': 'This picture has more pixels than this server takes. A copy of {width} × {height} was sent.',
    'sent.original': 'Boxes are in pixels of the original.',
    'problem.shown': 'This browser cannot show the file',
    'problem.shown.detail': '“{name}” is damaged, or of a type that this browser does not know. Save it as JPEG or PNG.',
    'problem.toolarge': 'This picture is too large',
    'problem.toolarge.detail': 'This picture has {has} MiB; this server takes {takes}, and this browser could not make a smaller copy.',

    'correct.toggle': 'Correct',
    'correct.tools': 'Tools for boxes',
    'correct.new': 'New box',
    'correct.undo': 'Undo',
    'correct.redo': 'Redo',
    'correct.delete': 'Delete the box',
    'correct.accept': 'Accept',
    'correct.accept.title': 'Accept and go to the next picture',
    'correct.unanswered': 'The model has not drafted anything yet.',
    'correct.object': 'object',
    'correct.on': 'Correcting. Drag to draw a box; drag a box or its edges to change it.',
    'correct.off': 'Correcting is off.',
    'correct.box': 'Box {number}: {label}, from {x0}, {y0} to {x1}, {y1}',
    'correct.deleted': '{label} deleted',
    'correct.labelled': 'The box is {label} now',
    'correct.finished': 'Every picture is reviewed.',
    'correct.iou': 'IoU with the model’s box: {value}',

    'review.title': 'Boxes to take away',
    'review.count': { one: '{done} of {count} reviewed', other: '{done} of {count} reviewed' },
    'review.list': 'Boxes on this picture',
    'review.none': 'No box. Drag on the picture to draw one.',
    'review.iou': 'IoU {value}',
    'review.delete': 'Delete box {number}, {label}',
    'review.label': 'Class of the selected box',
    'review.label.hint': 'Class of the selected box…',
    'review.label.set': 'Set the class',
    'review.label.list': 'Classes',
    'verdict.open': 'the model’s draft',
    'verdict.accepted': 'accepted',
    'verdict.corrected': 'corrected',
    'export.format': 'Format',
    'export.coco': 'COCO',
    'export.yolo': 'YOLO',
    'export.voc': 'Pascal VOC',
    'export.label-studio': 'Label Studio',
    'export.csv': 'CSV',
    'export.save': 'Save',
    'export.reviewed': { one: 'the boxes of {count} reviewed picture', other: 'the boxes of {count} reviewed pictures' },
    'export.drafts': { one: 'the draft of {count} picture; none is reviewed yet', other: 'the drafts of {count} pictures; none is reviewed yet', zero: 'nothing yet' },
    'send.send': 'Send to the server',
    'send.stop': 'Stop',
    'send.progress': '{done} of {total} sent',
    'send.open': { one: '{count} reviewed picture is not on the server yet', other: '{count} reviewed pictures are not on the server yet' },
    'send.all': 'Everything reviewed is on the server.',
    'send.none': 'Reviewed pictures go to the directory of --annotations, for calibrate.',
    'send.done': { one: '{count} picture sent', other: '{count} pictures sent' },

    'key.correct': 'correct the boxes, or stop',
    'key.new': 'a new box in the middle; a drag with ⇧ draws one also inside of another',
    'key.cycle': 'the box before or after',
    'key.move': 'move the selected box; with ⇧ its lower right corner; with Ctrl ten times as far',
    'key.delete': 'delete the selected box',
    'key.discard': 'remove the picture',
    'key.label': 'class of the selected box (1–9: the likely ones)',
    'key.accept': 'accept the boxes, and the next picture',
    'key.nothing': 'nothing is on it, and the next picture',
    'key.undo': 'undo, redo',
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
