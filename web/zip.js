/* Writes zip archives: files one after the other as they are, then the directory that lists them
 * (PKWARE's APPNOTE.TXT, 4.3). Nothing is compressed: the exports are small, and a browser's own
 * compression would make this asynchronous. Names are UTF-8 (flag 11). Archives and files stay
 * below 4 GiB, and there are fewer than 65535 files, since the 64-bit extension is not written. */

const MOST_FILES = 65534;
const MOST_BYTES = 0xffffffff;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) {
        c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    }
    return c;
});

/** The CRC-32 of ISO 3309, which zip and PNG use.
 * @param {Uint8Array} bytes */
export function crc32(bytes) {
    let c = 0xffffffff;
    for (let i = 0; i < bytes.length; i++) {
        c = CRC_TABLE[(c ^ bytes[i]) & 0xff] ^ (c >>> 8);
    }
    return (c ^ 0xffffffff) >>> 0;
}

/* The date and time of MS-DOS: two seconds are the unit, and 1980 is the first year.
 * @param {Date} when */
function dosTime(/** @type {Date} */ when) {
    const year = Math.min(Math.max(when.getFullYear() - 1980, 0), 127);
    return {
        date: (year << 9) | ((when.getMonth() + 1) << 5) | when.getDate(),
        time: (when.getHours() << 11) | (when.getMinutes() << 5) | (when.getSeconds() >> 1),
    };
}

/** Returns `name` as a path inside an archive: no root, no drive, no step upwards. Other colons
 * stay: labels are found by the names of their pictures.
 * @param {string} name */
export function safePath(name) {
    const parts = name.replaceAll('\\', '/').split('/')
        .map((part) => part.replace(/[\u0000-\u001f\u007f]/g, '_'))
        .filter((part) => part !== '' && part !== '.' && part !== '..');
    return parts.join('/').replace(/^([A-Za-z]):/, '$1_') || '_';
}

/** The archive of some files as bytes. Fails if they are too many or too large.
 * @param {{name: string, data: string | Uint8Array}[]} files text is written as UTF-8
 * @param {Date} [when] the date of all files
 * @returns {Uint8Array} */
export function zip(files, when = new Date()) {
    const encoder = new TextEncoder();
    const { date, time } = dosTime(when);
    if (files.length > MOST_FILES) {
        throw new RangeError(`A zip archive cannot hold ${files.length} files.`);
    }
    const entries = files.map(({ name, data }) => {
        const bytes = typeof data === 'string' ? encoder.encode(data) : data;
        return { name: encoder.encode(safePath(name)), bytes, crc: crc32(bytes), offset: 0 };
    });
    const total = entries.reduce((sum, { name, bytes }) =>
        sum + 30 + 46 + 2 * name.length + bytes.length, 22);
    if (total > MOST_BYTES) {
        throw new RangeError('A zip archive cannot hold more than 4 GiB.');
    }
    const out = new Uint8Array(total);
    const view = new DataView(out.buffer);
    let at = 0;
    const u16 = (/** @type {number} */ v) => { view.setUint16(at, v, true); at += 2; };
    const u32 = (/** @type {number} */ v) => { view.setUint32(at, v, true); at += 4; };
    const put = (/** @type {Uint8Array} */ bytes) => { out.set(bytes, at); at += bytes.length; };
    /* The fields that the header of a file and its line in the directory have in common. */
    const common = (/** @type {{name: Uint8Array, bytes: Uint8Array, crc: number}} */ entry) => {
        u16(20); /* version 2.0 is needed */
        u16(1 << 11);
        u16(0); /* stored */
        u16(time);
        u16(date);
        u32(entry.crc);
        u32(entry.bytes.length);
        u32(entry.bytes.length);
        u16(entry.name.length);
        u16(0);
    };
    for (const entry of entries) {
        entry.offset = at;
        u32(0x04034b50);
        common(entry);
        put(entry.name);
        put(entry.bytes);
    }
    const start = at;
    for (const entry of entries) {
        u32(0x02014b50);
        u16((3 << 8) | 20); /* made on Unix, so that the mode below counts */
        common(entry);
        u16(0);
        u16(0);
        u16(0);
        u32((0o100644 << 16) >>> 0);
        u32(entry.offset);
        put(entry.name);
    }
    const size = at - start;
    u32(0x06054b50);
    u16(0);
    u16(0);
    u16(entries.length);
    u16(entries.length);
    u32(size);
    u32(start);
    u16(0);
    return out;
}
