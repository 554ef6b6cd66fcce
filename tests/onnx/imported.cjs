// Compares ONNX Runtime with `forward` on networks that come from ONNX: on the file that was read, and
// on the file that the program writes of what it read. Class maps are those of the second.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const ort = require("onnxruntime-node");
const { readTensors, writeTensors } = require("./tensors.cjs");

const golden = path.join(__dirname, "..", "golden", "onnx_in");
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

async function compareImported(c, folder) {
    const file = path.join(golden, `${c.network}.onnx`);
    const [model, again, input, output] = ["a.safetensors", "b.onnx", "x.safetensors", "y.safetensors"]
        .map((name) => path.join(folder, name));
    adl("convert", file, model);
    adl("convert", model, again);
    const { input: { size: [h, w] } } = JSON.parse(adl("info", "--json", model));
    const x = Float32Array.from({ length: 3 * h * w }, (_, i) => Math.sin(0.37 * i + 0.5) * Math.cos(0.011 * i));
    writeTensors(input, [{ name: "input", shape: [1, 3, h, w], data: x }]);
    adl("forward", "--model", model, "--input", input, "--output", output, "--class", "1");
    const ours = readTensors(output);
    const last = c.network.startsWith("nhwc");
    const first = await ort.InferenceSession.create(file);
    const second = await ort.InferenceSession.create(again);
    const tensor = last ? new ort.Tensor("float32", channelsLast(x, h * w), [1, h, w, 3])
        : new ort.Tensor("float32", x, [1, 3, h, w]);
    const read = (await first.run({ [first.inputNames[0]]: tensor }))[first.outputNames[0]].data;
    const written = await second.run({ input: new ort.Tensor("float32", x, [1, 3, h, w]) });
    const pixels = ours.cam.data.length;
    return {
        read: difference(last ? softmax(ours.logits.data) : ours.logits.data, read),
        written: difference(ours.logits.data, written.logits.data),
        maps: difference(ours.cam.data, written.maps.data.subarray(pixels, 2 * pixels)),
    };
}

const networks = fs.readdirSync(golden).filter((name) => name.endsWith(".onnx") && name !== "qdq.onnx")
    .map((name) => name.slice(0, -5)).filter((name) => fs.existsSync(path.join(golden, `${name}.json`)));
const importedCases = networks.map((network) => ({ name: `imported ${network}`, network }));

module.exports = { compareImported, importedCases };
