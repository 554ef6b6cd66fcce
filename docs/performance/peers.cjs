// Compares ONNX Runtime with `bench`; called by peers.sh. The models, their ONNX
// files and the measurements are in DIR. With ONNX=DIRECTORY in the environment the
// networks are files of that directory, which ONNX Runtime runs as they are.
//
//     node peers.cjs prepare DIR "ARCH..." "PRECISION..."
//                                     writes the models, checks that both give the same
//     node peers.cjs measure DIR ARCH THREADS BATCH PRECISION ROUNDS
//                                     measures both in turns, prints one JSON object
//     node peers.cjs table DIR CPU    prints the measurements as Markdown
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const ort = require("onnxruntime-node");
const tensors = require("../../tests/onnx/tensors.cjs");

const [action, folder, ...rest] = process.argv.slice(2);
const at = (name) => path.join(folder, name);
const tolerance = 1e-3;
const roundMs = 400; // how long each side is measured in a round, at least one run
const side = 224;
const classes = Number(process.env.CLASSES);
const given = process.env.ONNX; // the directory of networks that came from elsewhere

const networks = {
    vgg16: { title: "VGG16-GAP", golden: "vgg16_cam" },
    resnet50: { title: "ResNet50", golden: "resnet50_cam" },
    inception_v3: { title: "InceptionV3", golden: "inception_v3_cam" },
    mobilenet_v1: { title: "MobileNetV1", golden: "mobilenet_v1_100_relu_cam" },
};

const adl = (...args) => execFileSync(process.env.PROGRAM, args, { stdio: ["ignore", "pipe", "inherit"] });

// A session with all optimisations. Nodes run one after another, each on all
// threads, which spin between runs as they do by default.
const open = (name, threads) => ort.InferenceSession.create(at(`${name}.onnx`), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
});

function input(batch) {
    const shape = [batch, 3, side, side];
    const data = tensors.drawn(tensors.product(shape), 0, 2, tensors.generator(batch));
    return { shape, data };
}

// The input under the name and in the order that the file asks for: of one from elsewhere, the
// channels may come last.
function feedsOf(session, { shape, data }) {
    const name = session.inputNames[0];
    if (!given || session.inputMetadata[0].shape.at(-1) !== 3)
        return { [name]: new ort.Tensor("float32", data, shape) };
    const [n, , h, w] = shape;
    const last = Float32Array.from(data, (_, i) => {
        const [image, pixel] = [Math.floor(i / (3 * h * w)), Math.floor(i / 3) % (h * w)];
        return data[(3 * image + (i % 3)) * h * w + pixel];
    });
    return { [name]: new ort.Tensor("float32", last, [n, h, w, 3]) };
}

const fetches = ["logits", "maps"];

// Results are taken by position because onnxruntime-node 1.20 gives the second one
// the name of the model's second output rather than the name that was asked for.
// Files from elsewhere have no class maps.
async function run(session, feeds) {
    const [logits, maps] = Object.values(await session.run(feeds, given ? [session.outputNames[0]] : fetches));
    return { logits, maps };
}

// --- the models, and a check that both give the same -----------------------------

// What the files of a network are called in a precision. One in bfloat16 is made when float32 is loaded.
const fileOf = (arch, precision) => (precision === "int8" ? `${arch}.int8` : arch);

// The model in 8 bits, and the same one as QDQ: ranges are chosen on the drawings that ship, because
// its speed does not depend on them.
function prepareInt8(arch) {
    const drawings = path.join(__dirname, "../../web/examples");
    const name = fileOf(arch, "int8");
    adl("convert", at(`${arch}.safetensors`), at(`${name}.safetensors`), "--precision", "int8",
        "--calibrate", drawings);
    adl("convert", at(`${name}.safetensors`), at(`${name}.onnx`));
}

// Makes ARCH.safetensors and ARCH.onnx.
function makeModels(arch) {
    if (given) {
        fs.copyFileSync(path.join(given, `${arch}.onnx`), at(`${arch}.onnx`));
        adl("convert", at(`${arch}.onnx`), at(`${arch}.safetensors`));
        return;
    }
    tensors.writeWeights(networks[arch].golden, at("raw.safetensors"), classes);
    const args = ["--arch", arch, "--num-classes", String(classes), "--input-size", `${side}x${side}`];
    adl("convert", ...args, at("raw.safetensors"), at(`${arch}.safetensors`));
    adl("convert", ...args, at("raw.safetensors"), at(`${arch}.onnx`));
}

// A file that ends in a softmax has probabilities; ours are the scores before it.
function softmax(scores) {
    const most = scores.reduce((a, b) => Math.max(a, b));
    const powers = scores.map((v) => Math.exp(v - most));
    const total = powers.reduce((a, b) => a + b);
    return powers.map((v) => v / total);
}

async function compareAnswers(arch) {
    const values = input(given ? 1 : 2);
    tensors.writeTensors(at("in.safetensors"), [{ name: "input", ...values }]);
    adl("forward", "--model", at(`${arch}.safetensors`), "--input", at("in.safetensors"),
        "--output", at("out.safetensors"));
    const ours = tensors.readTensors(at("out.safetensors"));
    const session = await open(arch, 1);
    const theirs = await run(session, feedsOf(session, values));
    await session.release();
    if (!given) {
        const maps = tensors.classMaps(theirs.maps, tensors.topClasses(ours.logits));
        return {
            logits: tensors.difference("logits", theirs.logits, ours.logits.shape, ours.logits.data),
            maps: tensors.difference("maps", maps, ours.cam.shape, ours.cam.data),
        };
    }
    const total = theirs.logits.data.reduce((a, b) => a + b);
    const scores = Math.abs(total - 1) < 1e-3 ? softmax(ours.logits.data) : ours.logits.data;
    return { logits: tensors.difference("logits", theirs.logits, ours.logits.shape, scores) };
}

// The scores and the class map that PyTorch gave for the input that make.py made, where they are
// beside the file.
function compareWithTorch(arch) {
    const file = path.join(given, `${arch}.json`);
    if (!fs.existsSync(file)) return {};
    const { side: size, scores, class: best, map, map_size: [h, w] } = JSON.parse(fs.readFileSync(file, "utf8"));
    const data = Float32Array.from({ length: 3 * size * size },
        (_, i) => Math.sin(0.37 * i + 0.5) * Math.cos(0.011 * i));
    tensors.writeTensors(at("in.safetensors"), [{ name: "input", shape: [1, 3, size, size], data }]);
    adl("forward", "--model", at(`${arch}.safetensors`), "--input", at("in.safetensors"),
        "--output", at("out.safetensors"), "--class", String(best));
    const ours = tensors.readTensors(at("out.safetensors"));
    const of = (what, shape, values) =>
        tensors.difference(what, { dims: ours[what].shape, data: ours[what].data }, shape, Float32Array.from(values));
    return { "logits to PyTorch's": of("logits", [1, scores.length], scores), "map to PyTorch's": of("cam", [1, h, w], map) };
}

async function prepare(archs, precisions) {
    for (const arch of archs) {
        makeModels(arch);
        const worst = { ...await compareAnswers(arch), ...(given ? compareWithTorch(arch) : {}) };
        const text = Object.entries(worst).map(([what, value]) => `${what} ${value.toExponential(1)}`).join(", ");
        console.log(`${arch}: largest difference, relative to the largest value: ${text}`);
        // In 8 bits a value that both round in another way moves all that follow.
        const most = given && arch.endsWith("_qdq") ? 0.05 : tolerance;
        if (!Object.values(worst).every((value) => value <= most))
            throw Error(`${arch}: the answers differ by more than ${most}`);
        if (precisions.includes("int8") && !given) prepareInt8(arch);
    }
}

// --- measuring --------------------------------------------------------------------

function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const now = () => Number(process.hrtime.bigint()) / 1e6;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const peakMib = () => Number(/VmHWM:\s*(\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1]) / 1024;

async function runs(session, feeds, count) {
    const times = [];
    for (let i = 0; i < count; i++) {
        const start = now();
        await run(session, feeds);
        times.push(now() - start);
    }
    return times;
}

// ONNX Runtime on one file: its times, as milliseconds per image.
async function openPeer(name, threads, batch, values) {
    const session = await open(name, threads);
    const feeds = feedsOf(session, values);
    const [first] = await runs(session, feeds, 1);
    const count = Math.max(1, Math.round(roundMs / first));
    const times = [];
    return {
        count, times, release: () => session.release(),
        async turn() {
            await runs(session, feeds, 1);
            times.push(median(await runs(session, feeds, count)) / batch);
        },
    };
}

const ratiosOf = (theirs, ours) => theirs.map((value, i) => value / ours[i]);

async function measure(arch, threads, batch, precision, rounds) {
    const values = input(batch);
    const before = peakMib();
    const float32 = await openPeer(arch, threads, batch, values);
    const peak = peakMib();
    const same = precision !== "int8" ? null : await openPeer(fileOf(arch, precision), threads, batch, values);
    const ours = [];
    let bench;
    for (let round = 0; round < rounds; round++) {
        // Lets the spinning threads of ONNX Runtime fall asleep before `bench`, which does
        // its own warm-up, runs.
        await pause(30);
        bench = JSON.parse(adl("bench", "--model", at(`${fileOf(arch, precision)}.safetensors`), "--threads",
            String(threads), "--batch", String(batch), "--runs", String(float32.count),
            "--precision", given ? "auto" : precision, "--json"));
        ours.push(bench.ms_per_image.median);
        await float32.turn();
        await pause(30);
        await same?.turn();
    }
    const ratios = ratiosOf(float32.times, ours);
    const result = {
        arch, threads, batch, precision, rounds,
        cpu: bench.cpu,
        isa: bench.isa,
        ort: ort.env.versions?.node ?? "",
        ours: median(ours),
        theirs: median(float32.times),
        ratio: median(ratios),
        ratios,
        ...(same && { same: median(same.times), sameRatio: median(ratiosOf(same.times, ours)) }),
        fmaGflops: bench.fma_gflops,
        gflop: (bench.gflops * bench.ms_per_image.median) / 1000,
        ourMib: bench.peak_rss_mib,
        theirMib: peak,
        nodeMib: before,
    };
    await float32.release();
    await same?.release();
    return result;
}

// --- the table ----------------------------------------------------------------------

function load() {
    const lines = fs.readFileSync(at("measured.jsonl"), "utf8").trim().split("\n");
    return lines.map((line) => JSON.parse(line));
}

// The networks of tests/golden/onnx_in/make.py --full, and the one in 8 bits of imported.sh.
const importedTitles = {
    resnet18: "ResNet18",
    resnet101: "ResNet101",
    densenet: "DenseNet121",
    googlenet: "GoogLeNet",
    squeezenet: "SqueezeNet",
    nhwc_keras: "MobileNetV1, NHWC, as Keras",
    resnet18_qdq: "ResNet18, QDQ",
    mobilenet_v2: "MobileNetV2",
    mobilenet_v3: "MobileNetV3-Large",
    efficientnet: "EfficientNet-B0",
    shufflenet: "ShuffleNetV2",
    regnet: "RegNetX",
    convnext: "ConvNeXt-T",
};
const titleOf = (arch) => networks[arch]?.title ?? importedTitles[arch] ?? arch;

// The table of one precision below float32: beside ONNX Runtime in float32, and in the same precision
// where it was measured.
function lowTable(rows, precision) {
    const same = rows.every((row) => row.same);
    const titles = ["network", "threads", "batch", "ours, ms", "ONNX Runtime in float32, ms", "ratio",
        ...(same ? [`in ${precision}, ms`, "ratio"] : []), "our MiB"];
    const lines = [
        "",
        same ? `In ${precision}, with the same model as QDQ in ONNX Runtime:` : `In ${precision}:`,
        "",
        `| ${titles.join(" | ")} |`,
        `|---|${"--:|".repeat(titles.length - 1)}`,
    ];
    for (const row of rows)
        lines.push(`| ${[
            titleOf(row.arch), row.threads, row.batch, row.ours.toFixed(2), row.theirs.toFixed(2),
            `**${row.ratio.toFixed(2)}**`,
            ...(same ? [row.same.toFixed(2), `**${row.sameRatio.toFixed(2)}**`] : []),
            Math.round(row.ourMib),
        ].join(" | ")} |`);
    return lines;
}

function table(cpu) {
    const all = load();
    const rows = all.filter((row) => row.precision === "fp32");
    // The largest of all rows, because a busy machine only lowers the measured peak.
    const peak = Math.max(...all.map((row) => row.fmaGflops));
    const share = (row, ms) => `${Math.round((100 * row.gflop * 1000) / ms / row.threads / peak)} %`;
    const lines = [
        `### ${given ? "Networks from ONNX, " : ""}${cpu}, ${all[0].isa}`,
        "",
        `${new Date().toISOString().slice(0, 10)}, ONNX Runtime ${all[0].ort}, ${given ? "" : `${classes} classes, `}` +
            `${Math.round(peak)} GFLOP/s of multiply-adds on one thread at most.`,
    ];
    if (rows.length)
        lines.push("",
            "| network | threads | batch | ours, ms | ONNX Runtime, ms | ratio | lowest to highest | our share of the peak | theirs | our MiB | theirs |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (const row of rows)
        lines.push(`| ${[
            titleOf(row.arch), row.threads, row.batch, row.ours.toFixed(2), row.theirs.toFixed(2),
            `**${row.ratio.toFixed(2)}**`,
            `${Math.min(...row.ratios).toFixed(2)} to ${Math.max(...row.ratios).toFixed(2)}`,
            share(row, row.ours), share(row, row.theirs), Math.round(row.ourMib), Math.round(row.theirMib),
        ].join(" | ")} |`);
    for (const precision of new Set(all.map((row) => row.precision)))
        if (precision !== "fp32") lines.push(...lowTable(all.filter((row) => row.precision === precision), precision));
    return lines.join("\n");
}

async function main() {
    if (action === "prepare") await prepare(rest[0].split(" "), rest[1].split(" "));
    else if (action === "measure") {
        const [arch, threads, batch, precision, rounds] = rest;
        console.log(JSON.stringify(await measure(arch, Number(threads), Number(batch), precision, Number(rounds))));
    } else if (action === "table") console.log(table(rest[0]));
    else throw Error(`no such action: ${action}`);
}

main().catch((error) => {
    console.error(`peers.cjs: ${error.message}`);
    process.exitCode = 1;
});
