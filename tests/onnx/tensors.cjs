// Shared by the scripts that compare the program with ONNX Runtime: reading and
// writing safetensors files, reproducible random numbers, and weights in the ranges
// that a golden case states.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const golden = path.join(__dirname, "..", "golden");

// Random numbers from -1 to 1, the same in every run (T. Ettinger's mulberry32).
function generator(seed) {
    return () => {
        seed = (seed + 0x6d2b79f5) | 0;
        let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 2147483648 - 1;
    };
}

function drawn(count, a, b, next) {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = a + b * next();
    return values;
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);

function writeTensors(file, tensors) {
    const header = {};
    let at = 0;
    for (const { name, shape, data } of tensors) {
        header[name] = { dtype: "F32", shape, data_offsets: [at, at + data.byteLength] };
        at += data.byteLength;
    }
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const bytes = tensors.map(({ data }) => Buffer.from(data.buffer));
    fs.writeFileSync(file, Buffer.concat([length, text, ...bytes]));
}

function readTensors(file) {
    const bytes = fs.readFileSync(file);
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, start).toString());
    const tensors = {};
    for (const [name, entry] of Object.entries(header)) {
        if (name === "__metadata__") continue;
        const { shape, data_offsets: [from, to] } = entry;
        const data = bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to);
        tensors[name] = { shape, data: new Float32Array(data) };
    }
    return tensors;
}

// The branches of ACoL above a map of so many channels, as parameters of a golden case.
function acolBranches(channels, classes) {
    const layer = (name, shape) => [
        { name: `${name}.weight`, shape, a: 0, b: Math.sqrt(6 / product(shape.slice(1))) },
        { name: `${name}.bias`, shape: [shape[0]], a: 0, b: 0.05 },
    ];
    return ["classifier_A", "classifier_B"].flatMap((branch) => [
        ...layer(`${branch}.0`, [1024, channels, 3, 3]), ...layer(`${branch}.2`, [1024, 1024, 3, 3]),
        ...layer(`${branch}.4`, [classes, 1024, 1, 1]),
    ]);
}

// Writes random weights in the ranges of a golden case's parameters, for `wanted`
// classes or as many as the case has; returns the number of classes. With `acol`, a number of
// channels, the head, whose names `head` matches, is replaced by the branches of ACoL.
function writeWeights(goldenCase, file, wanted, { acol, head } = {}) {
    const source = ["backbones/" + goldenCase + "_224x224", "torchvision/" + goldenCase]
        .map((name) => path.join(golden, name + ".json")).find((name) => fs.existsSync(name));
    const { params } = JSON.parse(fs.readFileSync(source));
    let drawnParams = params.filter((p) => p.a !== undefined);
    const [classes] = drawnParams.find((p) =>
        /^(fc|SPG_A_?4|classifier_A\.4|classifier|classifier\.[123])\.bias$/.test(p.name)).shape;
    if (acol) drawnParams = [...drawnParams.filter((p) => !head.test(p.name)), ...acolBranches(acol, classes)];
    // The last two parameters are the weights and biases of the classifier.
    if (wanted)
        for (const p of drawnParams.slice(-2)) {
            if (p.shape[0] !== classes) throw Error(`${p.name} of ${goldenCase} is not a classifier's`);
            p.shape = [wanted, ...p.shape.slice(1)];
        }
    const next = generator(7);
    const tensors = drawnParams.map(
        ({ name, shape, a, b }) => ({ name, shape, data: drawn(product(shape), a, b, next) }));
    writeTensors(file, tensors);
    return wanted || classes;
}

// The largest absolute difference, divided by the largest absolute value of `want`.
function difference(what, got, shape, want) {
    if (String(got.dims) !== String(shape)) throw Error(`${what} is [${got.dims}], not [${shape}]`);
    let worst = 0;
    let largest = 0;
    for (let i = 0; i < want.length; i++) {
        const d = Math.abs(got.data[i] - want[i]);
        if (!(d <= worst) && !Number.isNaN(worst)) worst = d; // once NaN, always NaN
        largest = Math.max(largest, Math.abs(want[i]));
    }
    if (!(largest > 0)) throw Error(`${what} is all zero`);
    return worst / largest;
}

// Picks the map of one class per image: N x C x H x W to N x H x W.
function classMaps(maps, classes) {
    const [n, c, h, w] = maps.dims;
    const data = new Float32Array(n * h * w);
    for (let i = 0; i < n; i++) {
        const from = (i * c + classes[i]) * h * w;
        data.set(maps.data.subarray(from, from + h * w), i * h * w);
    }
    return { dims: [n, h, w], data };
}

// The class with the largest logit, for each image.
function topClasses(logits) {
    const [n, c] = logits.shape;
    return Array.from({ length: n }, (_, i) => {
        const row = logits.data.subarray(i * c, (i + 1) * c);
        return row.indexOf(Math.max(...row));
    });
}

module.exports = {
    classMaps, difference, drawn, generator, product, readTensors, topClasses, writeTensors, writeWeights,
};
