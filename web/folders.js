/* The pictures in what a person drops or chooses, whole folders too. A picture from a folder is called
 * by its path in it, so that files of the same name in two folders are told apart. */

import { byName } from './order.js';

/** @typedef {{file: File, name: string}} Found */

const IMAGE_NAME = /\.(jpe?g|png|webp|gif|avif|bmp|hei[cf]|jxl|svg|tiff?)$/i;

/** Whether a file may be a picture: by its type, or by its name where the browser knows no type.
 * @param {{type: string, name: string}} file */
export const mayBePicture = ({ type, name }) => type.startsWith('image/') || IMAGE_NAME.test(name);

/* Files that file managers leave in folders. */
const isHidden = (/** @type {string} */ name) => name.startsWith('.') || name === 'Thumbs.db';

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<FileSystemEntry[]>} */
async function entriesOf(folder) {
    const reader = folder.createReader();
    /** @type {FileSystemEntry[]} */
    const all = [];
    for (;;) {
        /* A browser gives a hundred at a time, and none at the end. */
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (some.length === 0) {
            return all.sort((a, b) => byName(a.name, b.name));
        }
        all.push(...some);
    }
}

/** @param {FileSystemEntry} entry @param {(found: Found) => void} tell @param {AbortSignal} signal */
async function walk(entry, tell, signal) {
    if (signal.aborted || isHidden(entry.name)) {
        return;
    }
    try {
        if (entry.isDirectory) {
            for (const inner of await entriesOf(/** @type {FileSystemDirectoryEntry} */ (entry))) {
                await walk(inner, tell, signal);
            }
        } else if (IMAGE_NAME.test(entry.name)) {
            const file = await new Promise((resolve, reject) =>
                /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject));
            tell({ file, name: entry.fullPath.replace(/^\//, '') });
        }
    } catch {
        /* What cannot be read, such as a file that was just removed, is left out. */
    }
}

/** Tells of each picture of a drop as it is found, in the order of names. What was dropped itself is
 * taken whatever it is, so that a person hears why it is none. The list of a drop is empty after the
 * event, so it is read before the first wait.
 * @param {DataTransfer} drop @param {(found: Found) => void} tell @param {AbortSignal} signal */
export async function readDrop(drop, tell, signal) {
    const items = [...drop.items].filter(({ kind }) => kind === 'file')
        .map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
    const files = items.length > 0 ? items : [...drop.files].map((file) => ({ entry: null, file }));
    for (const { entry, file } of files) {
        if (entry?.isDirectory) {
            await walk(entry, tell, signal);
        } else if (file && !signal.aborted) {
            tell({ file, name: file.name });
        }
    }
}

/** The pictures of a file input; those of a folder are all its files, also the others.
 * @param {Iterable<File>} files @param {boolean} folder @returns {Found[]} */
export function chosenFiles(files, folder) {
    const all = [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
    return folder
        ? all.filter(({ file, name }) => mayBePicture(file) && !name.split('/').some(isHidden))
            .sort((a, b) => byName(a.name, b.name))
        : all;
}
