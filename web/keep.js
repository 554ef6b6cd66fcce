/* The browser's own storage, where pictures and what belongs to them survive a reload: two tables
 * by the id of a picture. Where a browser gives none (a private window), nothing is kept and
 * nothing fails. */

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

/** @returns {Promise<IDBDatabase>} */
function open() {
    opened ??= new Promise((resolve, reject) => {
        const request = indexedDB.open('adl-server', 1);
        request.onupgradeneeded = () => {
            request.result.createObjectStore('pictures');
            request.result.createObjectStore('notes');
        };
        request.onsuccess = () => {
            /* The browser closes it when a person clears the storage, for example. */
            request.result.onclose = () => { opened = null; };
            resolve(request.result);
        };
        request.onerror = () => reject(request.error);
        request.onblocked = () => reject(new Error('another tab holds an older storage'));
    });
    return opened;
}

/**
 * @template T
 * @param {'pictures' | 'notes'} table
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} action
 * @returns {Promise<T | undefined>} undefined where there is no storage, or it is full
 */
async function access(table, mode, action) {
    try {
        const database = await open();
        return await new Promise((resolve, reject) => {
            const transaction = database.transaction(table, mode);
            const request = action(transaction.objectStore(table));
            transaction.oncomplete = () => resolve(request.result);
            transaction.onerror = () => reject(transaction.error);
            transaction.onabort = () => reject(transaction.error);
        });
    } catch {
        return undefined;
    }
}

/** @param {'pictures' | 'notes'} table @param {string} id @param {any} value */
export const keep = (table, id, value) =>
    access(table, 'readwrite', (store) => store.put(value, id));

/** Keeps what is made of what was kept before, if anything.
 * @param {'pictures' | 'notes'} table @param {string} id @param {(before: any) => any} make */
export const update = (table, id, make) => access(table, 'readwrite', (store) => {
    const before = store.get(id);
    before.onsuccess = () => store.put(make(before.result), id);
    return before;
});

/** All of them or none. @param {'pictures' | 'notes'} table @param {string[]} ids at least one */
export const forget = (table, ...ids) => access(table, 'readwrite', (store) =>
    /** @type {IDBRequest<undefined>} */ (ids.map((id) => store.delete(id)).at(-1)));

/** @param {'pictures' | 'notes'} table @param {string} id @returns {Promise<any>} */
export const kept = (table, id) => access(table, 'readonly', (store) => store.get(id));

/** @param {'pictures' | 'notes'} table @returns {Promise<any[]>} all values */
export const allKept = async (table) =>
    await access(table, 'readonly', (store) => store.getAll()) ?? [];

/** @param {'pictures' | 'notes'} table @returns {Promise<number>} */
export const countKept = async (table) =>
    await access(table, 'readonly', (store) => store.count()) ?? 0;
