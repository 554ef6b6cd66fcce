// Compares ONNX Runtime with `forward` on networks that come from ONNX: on the file that was read, and
// on the file that the program writes of what it read. Class maps are those of the second. And on the
// file that it writes of such a network after it has trained it.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const ort = require("onnxruntime-node");
const { readTensors, writeTensors } = require("./tensors.cjs");

const golden = path.join(__dirname, "..", "golden", "onnx_in");
const examples = path.join(__dirname, "..", "..", "web", "examples");
const adl = (...args) => execFileSync(process.env.PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });

function difference(got, expected) {
    let worst = 0;
    let most = 1;
    for (let i = 0; i < expected.length; i++) {
        worst = Math.max(worst, Math.abs(got[i] - expected[i]));
        most = Math.max(most, Math.abs(expected[i]));
    }
    return got.length >= expected.length ? worst / most : Infinity;
}

function softmax(scores) {
    const powers = Array.from(scores, Math.exp);
    const total = powers.reduce((a, b) => a + b);
    return powers.map((p) => p / total);
}

// The values of a map of 3 channels with the channels last.
function channelsLast(x, pixels) {
    return Float32Array.from(x, (_, i) => x[(i % 3) * pixels + Math.floor(i / 3)]);
}

// Networks whose end has no class maps, with the layer that is named for them.
const layers = { vgg: "/2/2.2/Relu" };
// Exported for training, so that ONNX Runtime would take the statistics of the batch.
const forTraining = ["trainable"];

// Trains the network a little, on the examples of the page in two classes.
function train(model, folder) {
    const [data, out] = ["data", "run"].map((name) => path.join(folder, name));
    for (const name of [data, out]) fs.rmSync(name, { recursive: true, force: true });
    const pictures = fs.readdirSync(examples).filter((name) => name.endsWith(".jpg"));
    pictures.forEach((name, i) => {
        const place = path.join(data, i % 2 ? "odd" : "even");
        fs.mkdirSync(place, { recursive: true });
        for (const copy of [0, 1, 2]) fs.copyFileSync(path.join(examples, name), path.join(place, `${copy}${name}`));
    });
    adl("train", "--init", model, "--data", data, "--out", out, "--method", "adl", "--recipe", "plain", "--epochs", "2",
        "--batch-size", "4", "--lr", "0.01", "--resize-size", "48", "--crop-size", "40", "--no-report");
    return path.join(out, "last.safetensors");
}

async function compareImported(c, folder) {
    const file = path.join(golden, `${c.network}.onnx`);
    const [read, again, input, output] = ["a.safetensors", "b.onnx", "x.safetensors", "y.safetensors"]
        .map((name) => path.join(folder, name));
    const layer = layers[c.network];
    adl("convert", file, read, ...(layer ? ["--map-layer", layer] : []));
    const model = c.trained ? train(read, folder) : read;
    adl("convert", model, again);
    const { input: { size: [h, w] } } = JSON.parse(adl("info", "--json", model));
    const x = Float32Array.from({ length: 3 * h * w }, (_, i) => Math.sin(0.37 * i + 0.5) * Math.cos(0.011 * i));
    writeTensors(input, [{ name: "input", shape: [1, 3, h, w], data: x }]);
    adl("forward", "--model", model, "--input", input, "--output", output, "--class", "1");
    const ours = readTensors(output);
    const last = c.network.startsWith("nhwc");
    const other = c.trained || forTraining.includes(c.network);
    const first = await ort.InferenceSession.create(other ? again : file);
    const second = await ort.InferenceSession.create(again);
    const tensor = last ? new ort.Tensor("float32", channelsLast(x, h * w), [1, h, w, 3])
        : new ort.Tensor("float32", x, [1, 3, h, w]);
    const scores = (await first.run({ [first.inputNames[0]]: tensor }))[other ? "logits" : first.outputNames[0]].data;
    const written = await second.run({ input: new ort.Tensor("float32", x, [1, 3, h, w]) });
    const pixels = ours.cam.data.length;
    return {
        read: difference(last ? softmax(ours.logits.data) : ours.logits.data, scores),
        written: difference(ours.logits.data, written.logits.data),
        maps: difference(ours.cam.data, written.maps.data.subarray(pixels, 2 * pixels)),
    };
}

const networks = fs.readdirSync(golden).filter((name) => name.endsWith(".onnx") && name !== "qdq.onnx")
    .map((name) => name.slice(0, -5)).filter((name) => fs.existsSync(path.join(golden, `${name}.json`)));
const importedCases = [
    ...networks.map((network) => ({ name: `imported ${network}`, network })),
    ...["trainable", "resnet50", "cbam", "mobilenet_v3"]
        .map((network) => ({ name: `imported ${network}, trained`, network, trained: true })),
];

module.exports = { compareImported, importedCases };
