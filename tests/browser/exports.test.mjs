/* Tests the files of boxes: against numbers computed by hand, and, where Python is there, against
 * its readers of zip, XML and CSV: node --test. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { page } from './support/page.mjs';

const exports = await page('exports.js');
const { crc32, safePath, zip } = await page('zip.js');

const classes = ['background', 'African_elephant', 'cat'];
const pictures = [
    { name: 'zoo/a, "b".jpg', width: 200, height: 100, boxes: [
        { x0: 10, y0: 20, x1: 59, y1: 39, label: 'African_elephant', score: 0.5 },
        { x0: 0, y0: 0, x1: 199, y1: 99, label: 'cat' },
    ] },
    { name: 'zoo/empty.png', width: 3, height: 5, boxes: [] },
    { name: 'zoo/empty.jpg', width: 50, height: 50, boxes: [
        { x0: 1, y0: 2, x1: 1, y1: 2, label: '<new> & "odd"' }] },
];

/* Runs Python on a program and an input; null if there is none. */
function python(program, input) {
    const run = spawnSync('python3', ['-c', program], { input });
    return run.error ? null : { status: run.status, text: run.stdout.toString(),
        problem: run.stderr.toString() };
}

test('COCO: ids from 1, half-open boxes, as localize --coco-annotations writes them', () => {
    const coco = JSON.parse(exports.exportBoxes('coco', pictures, classes, { version: '1.2' }).data);
    assert.deepEqual(Object.keys(coco), ['info', 'licenses', 'images', 'annotations', 'categories']);
    assert.deepEqual(coco.images[0], { id: 1, file_name: 'zoo/a, "b".jpg', width: 200, height: 100 });
    assert.deepEqual(coco.annotations[0], {
        id: 1, image_id: 1, category_id: 2, bbox: [10, 20, 50, 20], area: 1000, iscrowd: 0,
        segmentation: [[10, 20, 60, 20, 60, 40, 10, 40]], score: 0.5,
    });
    assert.deepEqual(coco.annotations[2].bbox, [1, 2, 1, 1]);
    assert.deepEqual(coco.annotations.map((a) => [a.id, a.image_id, a.category_id]),
        [[1, 1, 2], [2, 1, 3], [3, 3, 4]]);
    assert.deepEqual(coco.categories.map(({ id, name }) => [id, name]),
        [[1, 'background'], [2, 'African_elephant'], [3, 'cat'], [4, '<new> & "odd"']]);
});

test('YOLO: centre and size as fractions, a file for each picture', () => {
    const files = new Map(exports.yoloFiles(pictures, classes).map(({ name, data }) => [name, data]));
    assert.equal(files.get('labels/zoo/a, "b".txt'),
        '1 0.175000 0.300000 0.250000 0.200000\n2 0.500000 0.500000 1.000000 1.000000\n');
    assert.equal(files.get('labels/zoo/empty.txt'), '');
    assert.equal(files.get('labels/zoo/empty-2.txt'), '3 0.030000 0.050000 0.020000 0.020000\n');
    assert.equal(files.get('classes.txt'), 'background\nAfrican_elephant\ncat\n<new> & "odd"\n');
    assert.match(files.get('data.yaml'), /^names:\n {2}0: "background"\n/m);
    /* It would be relative to where training is started; without it, the file's place counts. */
    assert.doesNotMatch(files.get('data.yaml'), /^path:/m);
    assert.match(files.get('data.yaml'), /^ {2}3: "<new> & \\"odd\\""$/m);
});

test('a numbered file does not take the name of another picture', () => {
    const picture = (name, label) => ({ name, width: 10, height: 10,
        boxes: [{ x0: 0, y0: 0, x1: 4, y1: 4, label }] });
    const labels = ['one', 'two', 'three', 'four'];
    const files = exports.yoloFiles(['a.jpg', 'a.png', 'a-2.jpg', 'a.gif']
        .map((name, i) => picture(name, labels[i])), labels).slice(2);
    assert.deepEqual(files.map(({ name, data }) => [name, labels[parseInt(data, 10)]]),
        [['labels/a.txt', 'one'], ['labels/a-3.txt', 'two'], ['labels/a-2.txt', 'three'],
            ['labels/a-4.txt', 'four']]);
});

test('Pascal VOC: pixels from 1, texts escaped, well formed', (t) => {
    const files = exports.vocFiles(pictures);
    assert.deepEqual(files.map(({ name }) => name), ['Annotations/zoo/a, "b".xml',
        'Annotations/zoo/empty.xml', 'Annotations/zoo/empty-2.xml']);
    const read = python('import sys, json, xml.etree.ElementTree as e\n' +
        'r = e.fromstring(sys.stdin.buffer.read())\n' +
        'print(json.dumps([r.findtext("folder"), r.findtext("filename"),' +
        ' [int(s.text) for s in r.find("size")],' +
        ' [[o.findtext("name")] + [int(v.text) for v in o.find("bndbox")]' +
        ' for o in r.findall("object")]]))', files[2].data);
    if (!read) {
        t.skip('no python3');
        return;
    }
    assert.equal(read.status, 0, read.problem);
    assert.deepEqual(JSON.parse(read.text),
        ['zoo', 'empty.jpg', [50, 50, 3], [['<new> & "odd"', 2, 3, 2, 3]]]);
    assert.doesNotMatch(exports.vocXml({ ...pictures[1], name: 'a\u0001b' }), /\u0001/);
});

test('Label Studio: percentages; what nobody has looked at is a prediction', () => {
    const drafted = { ...pictures[0], boxes: [pictures[0].boxes[0]] };
    const bare = { ...pictures[0], boxes: [], drafted: true };
    const [mixed, empty, , prediction, nothing] =
        exports.labelStudioOf([...pictures, drafted, bare], 'my model');
    assert.equal(mixed.data.image, 'zoo/a, "b".jpg');
    assert.deepEqual(mixed.annotations[0].result[0].value,
        { rotation: 0, x: 5, y: 20, width: 25, height: 20, rectanglelabels: ['African_elephant'] });
    assert.deepEqual([mixed.predictions, empty.annotations], [[], [{ result: [] }]]);
    assert.deepEqual(prediction.annotations, []);
    assert.equal(prediction.predictions[0].model_version, 'my model');
    assert.equal(prediction.predictions[0].score, 0.5);
    assert.deepEqual([nothing.annotations, nothing.predictions],
        [[], [{ model_version: 'my model', result: [], score: 0 }]]);
});

test('CSV: as RFC 4180 has it, and no formula for a spreadsheet', (t) => {
    const odd = { name: '=cmd()|\n"x".jpg', width: 4, height: 4, boxes: [] };
    const { data } = exports.exportBoxes('csv', [...pictures, odd], classes);
    assert.equal(data.split('\n')[1], '"zoo/a, ""b"".jpg",200,100,African_elephant,10,20,59,39,0.5');
    const read = python('import sys, json, csv\n' +
        'print(json.dumps(list(csv.reader(sys.stdin, lineterminator="\\n"))))', data);
    if (!read) {
        t.skip('no python3');
        return;
    }
    const rows = JSON.parse(read.text);
    assert.deepEqual(rows.map((row) => row.length), [9, 9, 9, 9, 9, 9]);
    assert.equal(rows[5][0], `'${odd.name}`);
    assert.deepEqual(rows[4], ['zoo/empty.jpg', '50', '50', '<new> & "odd"', '1', '2', '1', '2', '']);
});

test('the check value of CRC-32', () => {
    /* From the catalogue of parametrised CRC algorithms: check="cbf43926" of "123456789". */
    assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
});

test('names in an archive stay inside it', () => {
    assert.equal(safePath('../../etc/passwd'), 'etc/passwd');
    assert.equal(safePath('/a//b/./c\\d'), 'a/b/c/d');
    assert.equal(safePath('C:\\x\u0000y'), 'C_/x_y');
    assert.equal(safePath('../c:/10:30.jpg'), 'c_/10:30.jpg');
    assert.equal(safePath('at 10:30.jpg'), 'at 10:30.jpg');
    assert.equal(safePath('..'), '_');
});

test('another program reads the archive', (t) => {
    const files = [{ name: 'a.txt', data: 'hello\n' }, { name: 'dir/고양이.bin',
        data: Uint8Array.from({ length: 70000 }, (_, i) => i * 7) }, { name: 'empty', data: '' }];
    const bytes = zip(files, new Date(2026, 4, 6, 7, 8, 10));
    const read = python('import sys, io, json, zipfile\n' +
        'z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\n' +
        'assert z.testzip() is None\n' +
        'print(json.dumps([[i.filename, i.file_size, list(i.date_time), i.compress_type]' +
        ' for i in z.infolist()] + [z.read("a.txt").decode(),' +
        ' sum(z.read("dir/\\uace0\\uc591\\uc774.bin"))]))', bytes);
    if (!read) {
        t.skip('no python3');
        return;
    }
    assert.equal(read.status, 0, read.problem);
    const sum = files[1].data.reduce((total, v) => total + v, 0);
    const when = [2026, 5, 6, 7, 8, 10];
    assert.deepEqual(JSON.parse(read.text), [['a.txt', 6, when, 0],
        ['dir/고양이.bin', 70000, when, 0], ['empty', 0, when, 0], 'hello\n', sum]);
});

test('an unknown format is refused', () => {
    assert.throws(() => exports.exportBoxes('pdf', pictures, classes), RangeError);
    assert.equal(exports.FORMATS.length, 5);
});
