// Measures one network with one number of threads and one batch size, alternately in
// ONNX Runtime and in `bench`, and prints one JSON object. Called by peers.sh.
//
//     node peers.cjs prepare FOLDER      models and their ONNX files; compares answers
//     node peers.cjs measure FOLDER ARCH THREADS BATCH ROUNDS
//     node peers.cjs table FOLDER CPU    the Markdown of what was measured
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const ort = require("onnxruntime-node");
const tensors = require("../../tests/onnx/tensors.cjs");

const [action, folder, ...rest] = process.argv.slice(2);
const at = (name) => path.join(folder, name);
const tolerance = 1e-3;
const roundMs = 400; // of each side in each round, at least one run
const side = 224;
const classes = Number(process.env.CLASSES);

const networks = {
    vgg16: { title: "VGG16-GAP", golden: "vgg16_cam", atLeast: 1.7 },
    resnet50: { title: "ResNet50", golden: "resnet50_cam", atLeast: 1.25 },
    inception_v3: { title: "InceptionV3", golden: "inception_v3_cam", atLeast: 1.3 },
    mobilenet_v1: { title: "MobileNetV1", golden: "mobilenet_v1_100_relu_cam", atLeast: 1.3 },
};

const adl = (...args) => execFileSync(process.env.PROGRAM, args, { stdio: ["ignore", "pipe", "inherit"] });

// All optimisations are on and execution is sequential. The threads of a session spin
// between its runs, which is the default.
const open = (arch, threads) => ort.InferenceSession.create(at(`${arch}.onnx`), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
});

function input(batch) {
    const shape = [batch, 3, side, side];
    const data = tensors.drawn(tensors.product(shape), 0, 2, tensors.generator(batch));
    return { shape, data, feeds: { input: new ort.Tensor("float32", data, shape) } };
}

const fetches = ["logits", "maps"];

// Returns what was fetched by position: onnxruntime-node 1.20 gives the second result
// the name of the model's second output.
async function run(session, feeds) {
    const [logits, maps] = Object.values(await session.run(feeds, fetches));
    return { logits, maps };
}

// --- the models, and a comparison of both sides' answers -------------------------

async function prepare() {
    for (const [arch, network] of Object.entries(networks)) {
        tensors.writeWeights(network.golden, at("raw.safetensors"), classes);
        const args = ["--arch", arch, "--num-classes", String(classes), "--input-size", `${side}x${side}`];
        adl("convert", ...args, at("raw.safetensors"), at(`${arch}.safetensors`));
        adl("convert", ...args, at("raw.safetensors"), at(`${arch}.onnx`));

        const { shape, data, feeds } = input(2);
        tensors.writeTensors(at("in.safetensors"), [{ name: "input", shape, data }]);
        adl("forward", "--model", at(`${arch}.safetensors`), "--input", at("in.safetensors"),
            "--output", at("out.safetensors"));
        const ours = tensors.readTensors(at("out.safetensors"));
        const session = await open(arch, 1);
        const theirs = await run(session, feeds);
        await session.release();
        const maps = tensors.classMaps(theirs.maps, tensors.topClasses(ours.logits));
        const worst = {
            logits: tensors.difference("logits", theirs.logits, ours.logits.shape, ours.logits.data),
            maps: tensors.difference("maps", maps, ours.cam.shape, ours.cam.data),
        };
        const text = Object.entries(worst).map(([what, value]) => `${what} ${value.toExponential(1)}`).join(", ");
        console.log(`${arch}: largest difference, relative to the largest value: ${text}`);
        if (!Object.values(worst).every((value) => value <= tolerance))
            throw Error(`${arch}: the answers differ by more than ${tolerance}`);
    }
}

// --- measuring alternately --------------------------------------------------------

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

async function measure(arch, threads, batch, rounds) {
    const { feeds } = input(batch);
    const before = peakMib();
    const session = await open(arch, threads);
    const [first] = await runs(session, feeds, 1);
    const count = Math.max(1, Math.round(roundMs / first));
    const peak = peakMib();
    const ours = [];
    const theirs = [];
    let bench;
    for (let round = 0; round < rounds; round++) {
        // `bench` makes a warm-up run itself. ONNX Runtime's threads sleep meanwhile.
        await pause(30);
        bench = JSON.parse(adl("bench", "--model", at(`${arch}.safetensors`), "--threads", String(threads),
            "--batch", String(batch), "--runs", String(count), "--json"));
        ours.push(bench.ms_per_image.median);
        await runs(session, feeds, 1);
        theirs.push(median(await runs(session, feeds, count)) / batch);
    }
    const result = {
        arch, threads, batch, rounds,
        cpu: bench.cpu,
        isa: bench.isa,
        ort: ort.env.versions?.node ?? "",
        ours: median(ours),
        theirs: median(theirs),
        ratio: median(theirs.map((value, i) => value / ours[i])),
        ratios: theirs.map((value, i) => value / ours[i]),
        fmaGflops: bench.fma_gflops,
        gflop: (bench.gflops * bench.ms_per_image.median) / 1000,
        ourMib: bench.peak_rss_mib,
        theirMib: peak,
        nodeMib: before,
    };
    await session.release();
    return result;
}

// --- the table ----------------------------------------------------------------------

function load() {
    const lines = fs.readFileSync(at("measured.jsonl"), "utf8").trim().split("\n");
    return lines.map((line) => JSON.parse(line));
}

function table(cpu) {
    const rows = load();
    // The peak is the highest one measured: a slow moment of the machine does not lower it.
    const peak = Math.max(...rows.map((row) => row.fmaGflops));
    const share = (row, ms) => `${Math.round((100 * row.gflop * 1000) / ms / row.threads / peak)} %`;
    const lines = [
        `### ${cpu}, ${rows[0].isa}`,
        "",
        `${new Date().toISOString().slice(0, 10)}, ONNX Runtime ${rows[0].ort}, ${classes} classes, ` +
            `${Math.round(peak)} GFLOP/s of multiply-adds on one thread at most.`,
        "",
        "| network | threads | batch | ours, ms | ONNX Runtime, ms | ratio | lowest to highest | our share of the peak | theirs | our MiB | theirs |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ];
    for (const row of rows)
        lines.push(`| ${[
            networks[row.arch].title, row.threads, row.batch, row.ours.toFixed(2), row.theirs.toFixed(2),
            `**${row.ratio.toFixed(2)}**`,
            `${Math.min(...row.ratios).toFixed(2)} to ${Math.max(...row.ratios).toFixed(2)}`,
            share(row, row.ours), share(row, row.theirs), Math.round(row.ourMib), Math.round(row.theirMib),
        ].join(" | ")} |`);
    return lines.join("\n");
}

async function main() {
    if (action === "prepare") await prepare();
    else if (action === "measure") {
        const [arch, threads, batch, rounds] = rest;
        console.log(JSON.stringify(await measure(arch, Number(threads), Number(batch), Number(rounds))));
    } else if (action === "table") console.log(table(rest[0]));
    else throw Error(`no such action: ${action}`);
}

main().catch((error) => {
    console.error(`peers.cjs: ${error.message}`);
    process.exitCode = 1;
});
