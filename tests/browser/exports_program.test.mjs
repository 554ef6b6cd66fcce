/* Compares the files of `localize --yolo`, `--voc`, `--label-studio` and `--csv` with those that
 * the page makes of the same boxes, which are taken from `localize --json`; and reads them with Python
 * where it is there. The classes have names that need escapes. ADL_SERVER and ADL_TEST_MODEL as in
 * objects.test.mjs. Run by `node --test`. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync,
    writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { model, program, root } from './support/browser.mjs';
import { page } from './support/page.mjs';

const exports = await page('exports.js');
const there = existsSync(program) && existsSync(model);
const skip = there ? false : 'no program or no model';
const folder = mkdtempSync(join(tmpdir(), 'adl-exports-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const at = (...parts) => join(folder, ...parts);

const ODD = ['"quoted", and\nbroken', '<a> & \'b\'', '=SUM(A1)', '고양이 é 🐈',
    'del\u007f c1\u0085\u009f',
    'tab\t bell\u0007 \\', '\ufffe\uffff', '-1', 'plain'];

/* The model with other names of its classes: the header of the safetensors file is JSON. */
function renamed() {
    const bytes = readFileSync(model);
    const end = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, end).toString());
    const about = JSON.parse(header.__metadata__.adl);
    const count = about.arch.num_classes;
    about.classes = Array.from({ length: count }, (_, i) => `${ODD[i % ODD.length]} ${i}`);
    header.__metadata__.adl = JSON.stringify(about);
    let text = Buffer.from(JSON.stringify(header));
    text = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    writeFileSync(at('odd.safetensors'), Buffer.concat([size, text, bytes.subarray(end)]));
    return about.classes;
}

const NAMES = ['=1+1.jpg', 'a, "b".jpg', 'a: c.jpg', 'line\nbreak.jpg', 'sub/<&>.jpg',
    'sub/고양이.jpg', 'twice.jpeg', 'twice.jpg'];

function localize(...args) {
    const run = spawnSync(program, ['localize', '-m', at('odd.safetensors'), '--boxes', 'all',
        '-k', '9', ...args], { maxBuffer: 1 << 28 });
    return { status: run.status, out: run.stdout.toString(), err: run.stderr.toString() };
}

/* Every file below a directory, by its path there. */
const filesBelow = (dir) => new Map(readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .map((path) => [path.slice(dir.length + 1), readFileSync(path, 'utf8')]));

const expected = (files) => new Map(files.map(({ name, data }) => [name, data]));
const sorted = (map) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

let classes = [];
let pictures = [];

test('the program writes what the page writes', { skip }, () => {
    classes = renamed();
    mkdirSync(at('in/sub'), { recursive: true });
    for (const name of NAMES) {
        copyFileSync(join(root, 'tests/browser/picture.jpg'), at('in', name));
    }
    const { status, out, err } = localize('--json', '--yolo', at('yolo'), '--voc', at('voc'),
        '--label-studio', at('tasks.json'), '--csv', at('boxes.csv'), at('in'), at('in/twice.jpg'));
    assert.equal(status, 0, err);
    const lines = out.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(lines.length, NAMES.length + 1);
    pictures = lines.slice(0, NAMES.length).map(({ file, image, predictions }) => ({
        name: file.slice(at('in').length + 1), width: image.width, height: image.height,
        boxes: predictions.flatMap(({ label, score, boxes }) => boxes.map((box) => ({ ...box, label,
            score: score * (box.confidence ?? 1) }))),
    }));
    assert.deepEqual(pictures.map(({ name }) => name), NAMES);
    assert.ok(new Set(pictures.flatMap(({ boxes }) => boxes.map(({ label }) => label))).size >= 9);

    assert.deepEqual(sorted(filesBelow(at('yolo'))),
        sorted(expected(exports.yoloFiles(pictures, classes))));
    assert.deepEqual(sorted(filesBelow(at('voc'))), sorted(expected(exports.vocFiles(pictures))));
    /* Scores in the JSON are rounded before they are multiplied, so the last digit may differ. */
    const SCORE = /("score":|,)([.\d]+)(?=[\n}])/g;
    const scores = (text) => [...text.matchAll(SCORE)].map((match) => Number(match[2]));
    const bare = (text) => text.replace(SCORE, '$1?');
    const close = (a, b) => {
        assert.equal(a.length, b.length);
        a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) <= 2e-6, `${v} ${b[i]}`));
    };
    const studio = readFileSync(at('tasks.json'), 'utf8');
    const pageStudio =
        exports.exportBoxes('label-studio', pictures, classes, { model: 'odd' }).data;
    const csv = readFileSync(at('boxes.csv'), 'utf8');
    const pageCsv = exports.csvOf(pictures);
    close(scores(studio), scores(pageStudio));
    close(scores(csv), scores(pageCsv));
    assert.equal(bare(studio), bare(pageStudio));
    assert.equal(bare(csv), bare(pageCsv));
    assert.ok(scores(csv).length >= 9 && scores(studio).length > scores(csv).length);
});

test('a later image does not take the name of another', { skip }, () => {
    const names = ['a.jpg', 'a.png', 'a-2.jpg'];
    mkdirSync(at('stems'));
    names.forEach((name) => copyFileSync(join(root, 'tests/browser/picture.jpg'), at('stems', name)));
    const { status, err } = localize('--voc', at('stems-voc'), ...names.map((name) => at('stems', name)));
    assert.equal(status, 0, err);
    const files = filesBelow(at('stems-voc'));
    assert.match(files.get('Annotations/a-2.xml'), /<filename>a-2\.jpg</);
    assert.match(files.get('Annotations/a-3.xml'), /<filename>a\.png</);
});

test('Python reads the files back', { skip }, (t) => {
    const run = spawnSync('python3', ['-c', `
import csv, glob, json, os, sys, xml.etree.ElementTree as tree
top = sys.argv[1]
rows = list(csv.DictReader(open(top + '/boxes.csv', newline='', encoding='utf-8')))
boxes = []
for path in glob.glob(top + '/voc/Annotations/**/*.xml', recursive=True):
    root = tree.parse(path).getroot()
    boxes += [[int(v.text) - 1 for v in o.find('bndbox')] for o in root.findall('object')]
tasks = json.load(open(top + '/tasks.json', encoding='utf-8'))
yaml_names = None
try:
    import yaml
    yaml_names = yaml.safe_load(open(top + '/yolo/data.yaml', encoding='utf-8'))['names']
except ImportError:
    pass
print(json.dumps({'rows': [[r['file'], r['label']] + [int(r[k]) for k in ('x0', 'y0', 'x1', 'y1')]
    for r in rows], 'voc': sorted(boxes), 'tasks': [t['data']['image'] for t in tasks],
    'yaml': yaml_names and [yaml_names[i] for i in range(len(yaml_names))]}))`, folder]);
    if (run.error) {
        t.skip('no python3');
        return;
    }
    assert.equal(run.status, 0, run.stderr.toString());
    const read = JSON.parse(run.stdout.toString());
    const guarded = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
    const all = pictures.flatMap(({ name, boxes }) => boxes.map((b) => [guarded(name),
        guarded(b.label), b.x0, b.y0, b.x1, b.y1]));
    assert.deepEqual(read.rows, all);
    const order = (boxes) => boxes.map(String).sort();
    assert.deepEqual(order(read.voc), order(all.map((row) => row.slice(2))));
    assert.deepEqual(read.tasks, NAMES);
    if (read.yaml) {
        assert.deepEqual(read.yaml, classes);
    }
});

test('standard output, and what is refused', { skip }, () => {
    const picture = at('in/twice.jpg');
    const table = localize('--csv', '-', picture);
    assert.match(table.out, /^file,width,height,label,x0,y0,x1,y1,score\ntwice\.jpg,/);
    assert.ok(JSON.parse(localize('--label-studio', '-', picture).out)[0].data.image);
    const refused = (pattern, ...args) => {
        const { status, err } = localize(...args, picture);
        assert.equal(status, 2, err);
        assert.match(err, pattern);
    };
    refused(/--csv -: standard output cannot have --json/, '--csv', '-', '--json');
    refused(/takes only one export/, '--csv', '-', '--label-studio', '-');
    refused(/--yolo: has to be a directory/, '--yolo', '-');
    refused(/--csv x: --label-studio writes this file too/, '--csv', 'x', '--label-studio', 'x');
    refused(/is one of the input images/, '--csv', picture);
    const nowhere = localize('--csv', at('nowhere/x.csv'), picture);
    assert.equal(nowhere.status, 1);
    assert.equal(nowhere.out, '');
});

test('no input is overwritten, and no file leaves the directory', { skip }, () => {
    const before = readFileSync(join(root, 'tests/browser/picture.jpg'));
    for (const [option, path] of [['--voc', 'v/Annotations/p.xml'], ['--yolo', 'y/labels/p.txt'],
        ['--yolo', 'z/data.yaml']]) {
        mkdirSync(at(path, '..'), { recursive: true });
        writeFileSync(at(path), before);
        const { status, err } = localize(option, at(path.split('/')[0]), at(path));
        assert.equal(status, 2, err);
        assert.match(err, /is one of the input images and will not be overwritten/);
        assert.deepEqual(readFileSync(at(path)), before);
    }
    /* A picture outside of what the names are relative to: through standard input. */
    const run = spawnSync(program, ['localize', '-m', at('odd.safetensors'), '--voc', at('std'),
        '-'], { input: before });
    assert.equal(run.status, 0, run.stderr.toString());
    assert.deepEqual([...filesBelow(at('std')).keys()], ['Annotations/stdin.xml']);
});
