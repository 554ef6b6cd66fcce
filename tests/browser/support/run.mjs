/* A training run of a second for the tests of /training and of reports: the example drawings several
 * times each, with a box that is wrong on purpose, in the layout of wsolevaluation. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { program, root } from './browser.mjs';

/* As the files of web/examples are. */
const DRAWINGS = [['umbrella', 420, 420], ['starfish', 480, 400], ['yin_yang', 460, 340]];
const COPIES = 4;

/** Makes the data set. The third class has a name with a meaning in HTML. */
export function makeData(folder) {
    mkdirSync(join(folder, 'images'), { recursive: true });
    for (const split of ['train', 'val']) {
        const lists = join(folder, 'metadata', split);
        mkdirSync(lists, { recursive: true });
        const entries = DRAWINGS.flatMap(([name, width, height], kind) =>
            Array.from({ length: COPIES }, (_, i) =>
                ({ id: `${split}-${name}-${i}.jpg`, name, width, height, kind })));
        for (const { id, name } of entries) {
            /* Bytes after the end of a JPEG are no part of the picture. */
            writeFileSync(join(folder, 'images', id), Buffer.concat([
                readFileSync(join(root, `web/examples/${name}.jpg`)), Buffer.from(id)]));
        }
        const list = (name, line) => writeFileSync(join(lists, name), `${entries.map(line).join('\n')}\n`);
        list('image_ids.txt', ({ id }) => id);
        list('class_labels.txt', ({ id, kind }) => `${id},${kind}`);
        if (split === 'val') {
            list('image_sizes.txt', ({ id, width, height }) => `${id},${width},${height}`);
            list('localization.txt', ({ id, width, height }) => `${id},10,20,${width / 2},${height / 2}`);
        }
    }
    writeFileSync(join(folder, 'classes.txt'), 'umbrella\nstarfish\n</script> & yin yang\n');
}

/** Trains a small network and returns when it is done. */
export function train(data, out, method, epochs, more = []) {
    execFileSync(program, ['train', '--arch', 'mobilenet_v1', '--width', '0.25', '--method', method,
        '--data', data, '--out', out, '--epochs', String(epochs), '--batch-size', '4', '--resize-size', '64',
        '--crop-size', '64', '--threads', '1', ...more], { stdio: 'pipe' });
}
