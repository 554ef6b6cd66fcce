// Compares ONNX Runtime with `bench`; called by peers.sh. The models, their ONNX
// files and the measurements are in DIR.
//
//     node peers.cjs prepare DIR      writes the models, checks that both give the same
//     node peers.cjs measure DIR ARCH THREADS BATCH ROUNDS
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

const networks = {
    vgg16: { title: "VGG16-GAP", golden: "vgg16_cam" },
    resnet50: { title: "ResNet50", golden: "resnet50_cam" },
    inception_v3: { title: "InceptionV3", golden: "inception_v3_cam" },
    mobilenet_v1: { title: "MobileNetV1", golden: "mobilenet_v1_100_relu_cam" },
};

const adl = (...args) => execFileSync(process.env.PROGRAM, args, { stdio: ["ignore", "pipe", "inherit"] });

// A session with all optimisations. Nodes run one after another, each on all
// threads, which spin between runs as they do by default.
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

// Results are taken by position because onnxruntime-node 1.20 gives the second one
// the name of the model's second output rather than the name that was asked for.
async function run(session, feeds) {
    const [logits, maps] = Object.values(await session.run(feeds, fetches));
    return { logits, maps };
}

// --- the models, and a check that both give the same -----------------------------

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
        // Lets the spinning threads of ONNX Runtime fall asleep before `bench`, which does
        // its own warm-up, runs.
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
    // The largest of all rows, because a busy machine only lowers the measured peak.
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
