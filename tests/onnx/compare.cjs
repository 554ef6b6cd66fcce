// Compares ONNX Runtime, on files from `convert`, with `forward`; called by run.sh
// with a scratch directory and, optionally, parts of the names of the cases to run.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const ort = require("onnxruntime-node");
const {
    classMaps, difference, drawn, generator, product, readTensors, topClasses, writeTensors, writeWeights,
} = require("./tensors.cjs");
const { compareImported, importedCases } = require("./imported.cjs");
const { compareInt8 } = require("./int8.cjs");

const [folder, ...only] = process.argv.slice(2);
const shared = process.env.ADL_SHARED_DATA ?? path.join(__dirname, "../../../shared/data");
const imagenet = path.join(shared, "weights/mobilenet_v1_0.75_224_imagenet.safetensors");
const shipped = path.join(__dirname, "../../models/default.safetensors");
const tolerance = 1e-4;
const images = 3;

// The parameters are random numbers from the ranges that a golden case states. With
// an odd input size, every pooling and padding is uneven somewhere.
const mobilenet = ["--arch", "mobilenet_v1"];
// Networks that are built as others are run in `make soak` alone.
const torchvision = [
    "resnet18", "resnet34", "resnet101", "resnet152", "resnext50_32x4d", "mobilenet_v2", "mobilenet_v3_large",
    "mobilenet_v3_small", "efficientnet_b0", "efficientnet_b4", "densenet121", "convnext_tiny",
]
    .filter((name) => process.env.SLOW || !/^(resnet34|resnet101|resnet152|mobilenet_v3_large|efficientnet_b4)$/.test(name))
    .flatMap((name) => (process.env.SLOW ? [[], ["--last-stride", "1"]] : [[]]).map((more) => ({
        name: [name, ...more].join(" "), golden: name, args: ["--arch", name, ...more], single: true,
    })));
const cases = [
    { name: "vgg16", golden: "vgg16_cam", args: ["--arch", "vgg16"] },
    { name: "vgg16 adl", golden: "vgg16_adl", args: ["--arch", "vgg16", "--method", "adl"] },
    { name: "vgg16 acol", golden: "vgg16_acol", args: ["--arch", "vgg16", "--method", "acol"] },
    { name: "vgg16 spg", golden: "vgg16_spg", args: ["--arch", "vgg16", "--method", "spg"] },
    { name: "vgg16 large map", golden: "vgg16_cam_lfm", args: ["--arch", "vgg16", "--large-feature-map"] },
    { name: "resnet50", golden: "resnet50_cam", args: ["--arch", "resnet50"] },
    { name: "resnet50 adl", golden: "resnet50_adl", args: ["--arch", "resnet50", "--method", "adl"] },
    {
        name: "resnet50 acol", golden: "resnet50_cam", args: ["--arch", "resnet50", "--method", "acol"],
        weights: { acol: 2048, head: /^fc\./ },
    },
    { name: "resnet50 spg", golden: "resnet50_spg", args: ["--arch", "resnet50", "--method", "spg"] },
    { name: "resnet50 large map", golden: "resnet50_cam", args: ["--arch", "resnet50", "--large-feature-map"] },
    { name: "resnet50_se", golden: "resnet50_se_cam", args: ["--arch", "resnet50_se"] },
    { name: "resnet50_se adl", golden: "resnet50_se_cam", args: ["--arch", "resnet50_se", "--method", "adl"] },
    { name: "resnet50_cbam", golden: "resnet50_cbam_cam", args: ["--arch", "resnet50_cbam"] },
    { name: "resnet50_bam", golden: "resnet50_bam_cam", args: ["--arch", "resnet50_bam"] },
    { name: "ran56", golden: "ran56_cam", args: ["--arch", "ran56"] },
    { name: "inception_v3", golden: "inception_v3_cam", args: ["--arch", "inception_v3"] },
    { name: "inception_v3 adl", golden: "inception_v3_adl", args: ["--arch", "inception_v3", "--method", "adl"] },
    {
        name: "inception_v3 acol", golden: "inception_v3_cam", args: ["--arch", "inception_v3", "--method", "acol"],
        weights: { acol: 768, head: /^SPG_/ },
    },
    { name: "inception_v3 spg", golden: "inception_v3_spg", args: ["--arch", "inception_v3", "--method", "spg"] },
    { name: "inception_v3 large map", golden: "inception_v3_cam_lfm", args: ["--arch", "inception_v3", "--large-feature-map"] },
    { name: "mobilenet_v1 relu", golden: "mobilenet_v1_100_relu_cam", args: mobilenet },
    { name: "mobilenet_v1 adl", golden: "mobilenet_v1_100_relu_cam", args: [...mobilenet, "--method", "adl"] },
    {
        name: "mobilenet_v1 relu6 tf_same",
        golden: "mobilenet_v1_100_relu6_cam",
        args: [...mobilenet, "--activation", "relu6", "--padding", "tf_same", "--last-stride", "2"],
    },
    ...torchvision,
    { name: "mobilenet_v1 0.75 imagenet", file: imagenet, args: [] },
    { name: "the model that ships", file: shipped, args: [] },
].flatMap((c) => sizes(c).map((size) => ({ ...c, size })));

// The same in 8 bits; `make soak` adds those whose kinds of layer others have.
const int8Cases = [
    { name: "vgg16", golden: "vgg16_cam", args: ["--arch", "vgg16"] },
    { name: "resnet50", golden: "resnet50_cam", args: ["--arch", "resnet50"] },
    { name: "resnet50_se", golden: "resnet50_se_cam", args: ["--arch", "resnet50_se"] },
    { name: "resnet50_bam", golden: "resnet50_bam_cam", args: ["--arch", "resnet50_bam"] },
    { name: "resnet50_cbam", golden: "resnet50_cbam_cam", args: ["--arch", "resnet50_cbam"] },
    { name: "ran56", golden: "ran56_cam", args: ["--arch", "ran56"] },
    { name: "inception_v3", golden: "inception_v3_cam", args: ["--arch", "inception_v3"] },
    {
        name: "mobilenet_v1 relu6 tf_same",
        golden: "mobilenet_v1_100_relu6_cam",
        args: [...mobilenet, "--activation", "relu6", "--padding", "tf_same", "--last-stride", "2"],
    },
    { name: "the model that ships", file: shipped, args: [], size: [161, 161], direct: true },
]
    .filter((c) => process.env.SLOW || !/^(vgg16|resnet50|resnet50_cbam)$/.test(c.name))
    .map((c) => ({ size: [113, 150], ...c, name: `int8 ${c.name}`, int8: true }));

// ADL is the identity outside training, so these files repeat the ones without it, and branches
// stand above the same networks; `make soak` compares them at both sizes.
function sizes(c) {
    return (c.single || c.args.includes("--method")) && !process.env.SLOW ? [[113, 150]] : [[224, 224], [113, 150]];
}

const adl = (...args) => execFileSync(process.env.PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });

// The few-box head by its definition: sigmoid(weights . features + bias) at each position.
function headOf(features, tensors) {
    const [n, channels, h, w] = features.dims;
    const weights = tensors["foreground.weight"].data;
    const data = new Float32Array(n * h * w);
    for (let i = 0; i < n; i++)
        for (let p = 0; p < h * w; p++) {
            let sum = tensors["foreground.bias"].data[0];
            for (let k = 0; k < channels; k++) sum += weights[k] * features.data[(i * channels + k) * h * w + p];
            data[i * h * w + p] = 1 / (1 + Math.exp(-sum));
        }
    return { shape: [n, 1, h, w], data };
}

async function compare(c) {
    const at = (name) => path.join(folder, name);
    const size = c.size.join("x");
    let raw = c.file;
    let args = [...c.args, "--input-size", size];
    if (!raw) {
        raw = at("raw.safetensors");
        args = [...args, "--num-classes", String(writeWeights(c.golden, raw, undefined, c.weights))];
    }
    adl("convert", ...args, raw, at("m.safetensors"));
    adl("convert", ...args, raw, at("m.onnx"));

    const session = await ort.InferenceSession.create(at("m.onnx"), { intraOpNumThreads: 1 });
    const tensors = readTensors(at("m.safetensors"));
    const head = tensors["foreground.weight"] ? tensors : null;
    // The features of other layers are no outputs of the file.
    const layered = Object.keys(tensors).some((key) => /^foreground\..+\.weight$/.test(key));
    const outputs = head ? "logits,features,maps,foreground" : "logits,features,maps";
    if (String(session.inputNames) !== "input" || String(session.outputNames) !== outputs)
        throw Error(`inputs ${session.inputNames}, outputs ${session.outputNames}`);

    const worst = { logits: 0, features: 0, maps: 0, ...(head && { foreground: 0 }) };
    // A batch is the harder case; `make soak` adds a single image.
    for (const n of process.env.SLOW ? [1, images] : [images]) {
        const shape = [n, 3, ...c.size];
        const data = drawn(product(shape), 0, 2, generator(n));
        writeTensors(at("in.safetensors"), [{ name: "input", shape, data }]);
        const got = await session.run({ input: new ort.Tensor("float32", data, shape) });
        if (head && !layered) {
            const { shape: map, data: values } = headOf(got.features, head);
            worst.foreground = Math.max(worst.foreground, difference("foreground", got.foreground, map, values));
        }
        // An ONNX file cannot be asked for a class, by which ACoL erases.
        for (const classId of c.args.includes("acol") ? [null] : [null, 3]) {
            const which = classId === null ? [] : ["--class", String(classId)];
            adl("forward", "--model", at("m.safetensors"), "--threads", "1", ...which,
                "--input", at("in.safetensors"), "--output", at("out.safetensors"));
            const want = readTensors(at("out.safetensors"));
            const classes = classId === null ? topClasses(want.logits) : Array(n).fill(classId);
            const note = (what, value) => (worst[what] = Math.max(worst[what], value));
            for (const what of ["logits", "features"])
                note(what, difference(what, got[what], want[what].shape, want[what].data));
            if (head) {
                const { shape: [, h, w], data: values } = want.foreground;
                note("foreground", difference("foreground", got.foreground, [n, 1, h, w], values));
            }
            note("maps", difference("maps", classMaps(got.maps, classes), want.cam.shape, want.cam.data));
        }
    }
    await session.release();
    return worst;
}

async function main() {
    let passed = 0;
    let failed = 0;
    let skipped = 0;
    for (const c of [...cases, ...int8Cases, ...importedCases]) {
        const name = c.network ? c.name : `${c.name} ${c.size.join("x")}`;
        if (only.length && !only.some((part) => name.includes(part))) continue;
        if (c.file && !fs.existsSync(c.file)) {
            console.log(`skip ${name}: no ${path.basename(c.file)} here`);
            skipped++;
            continue;
        }
        let verdict;
        let ok = false;
        try {
            let figures;
            if (c.int8) {
                ({ ok, figures } = await compareInt8(c, folder));
            } else {
                const worst = c.network ? await compareImported(c, folder) : await compare(c);
                ok = Object.values(worst).every((value) => value <= tolerance);
                figures = Object.fromEntries(
                    Object.entries(worst).map(([what, value]) => [what, value.toExponential(1)]));
            }
            verdict = Object.entries(figures).map(([what, value]) => `${what} ${value}`).join(", ");
        } catch (error) {
            verdict = String(error.stderr?.toString() || error.message).trim();
        }
        console.log(`${ok ? "ok  " : "FAIL"} ${name}: ${verdict}`);
        if (ok) passed++;
        else failed++;
    }
    console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
    process.exitCode = failed ? 1 : 0;
}

main();
