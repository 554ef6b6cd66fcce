// Compares ONNX Runtime, on int8 models that `convert` writes as ONNX, with `forward`.
//
// Both round the same maps with the same scales, but not always the same values: a runtime's bias is
// a whole number, and the first convolution differs in its last bits. Half a step decides which byte
// a value becomes, and later layers are computed from these bytes, so a change of the input by one
// part in ten thousand already changes the logits as much as the runtime does. Compared is therefore
// how far both are from float32 with the same rounded weights (root mean square over that of
// float32): the runtime may be farther by a factor, since a plan leaves convolutions in float32
// where that is faster, and a mistake in a scale, a zero point or a bias is far beyond it.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const zlib = require("node:zlib");
const ort = require("onnxruntime-node");
const { classMaps, generator, product, readTensors, topClasses, writeTensors, writeWeights } = require("./tensors.cjs");

const pictures = 6;
const adl = (...args) => execFileSync(process.env.PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(zlib.crc32 ? zlib.crc32(body) : crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

function png(width, height, rgb) {
    const rows = Buffer.alloc(height * (3 * width + 1));
    for (let y = 0; y < height; y++) rgb.copy(rows, y * (3 * width + 1) + 1, y * 3 * width, (y + 1) * 3 * width);
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([
        Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", header), chunk("IDAT", zlib.deflateSync(rows)),
        chunk("IEND", Buffer.alloc(0)),
    ]);
}

// A smooth picture with a patch of another colour, and some noise.
function picture(width, height, next) {
    const waves = Array.from({ length: 9 }, next);
    const patch = [next(), next(), 0.3 + 0.1 * next()];
    const rgb = Buffer.alloc(3 * width * height);
    for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
            const u = (2 * x) / width - 1;
            const v = (2 * y) / height - 1;
            const inside = Math.hypot(u - 0.5 * patch[0], v - 0.5 * patch[1]) < patch[2] ? 0.8 : -0.2;
            for (let c = 0; c < 3; c++) {
                const [a, b, d] = waves.slice(3 * c, 3 * c + 3);
                const value = Math.sin(4 * (a * u + b * v) + 3 * d) + inside * (c - 1) + 0.1 * next();
                rgb[3 * (y * width + x) + c] = Math.max(0, Math.min(255, 128 + 90 * value));
            }
        }
    return rgb;
}

// Writes pictures of the network's size to a folder, and what the network sees to a file.
function writePictures(folder, file, [height, width], mean, std) {
    const next = generator(11);
    const shape = [pictures, 3, height, width];
    const data = new Float32Array(product(shape));
    fs.mkdirSync(folder, { recursive: true });
    for (let i = 0; i < pictures; i++) {
        const rgb = picture(width, height, next);
        fs.writeFileSync(path.join(folder, `${i}.png`), png(width, height, rgb));
        for (let c = 0; c < 3; c++)
            for (let p = 0; p < height * width; p++)
                data[(3 * i + c) * height * width + p] = (rgb[3 * p + c] / 255 - mean[c]) / std[c];
    }
    writeTensors(file, [{ name: "input", shape, data }]);
    return { shape, data };
}

function distance(got, want) {
    let square = 0;
    let size = 0;
    for (let i = 0; i < want.length; i++) {
        square += (got[i] - want[i]) ** 2;
        size += want[i] ** 2;
    }
    return Math.sqrt(square / size);
}

// Returns the figures of one case, and whether they are near enough.
async function compareInt8(c, folder) {
    const at = (name) => path.join(folder, name);
    const args = [...c.args, "--input-size", c.size.join("x")];
    let raw = c.file;
    if (!raw) {
        raw = at("raw.safetensors");
        args.push("--num-classes", String(writeWeights(c.golden, raw, undefined, c.weights)));
    }
    adl("convert", ...args, raw, at("f.safetensors"));
    const info = JSON.parse(adl("info", "--json", at("f.safetensors")).toString());
    const pictureDir = at("pictures");
    fs.rmSync(pictureDir, { recursive: true, force: true });
    const input = writePictures(pictureDir, at("in.safetensors"), c.size, info.input.mean, info.input.std);
    const how = ["--precision", "int8", "--calibrate", pictureDir];
    adl("convert", at("f.safetensors"), at("q.safetensors"), ...how);
    adl("convert", at("q.safetensors"), at("q.onnx"));
    if (c.direct) {
        adl("convert", at("f.safetensors"), at("direct.onnx"), ...how);
        // Only the record of where the model came from differs.
        const sizes = ["q.onnx", "direct.onnx"].map((name) => fs.statSync(at(name)).size);
        if (Math.abs(sizes[0] - sizes[1]) > 4096) throw Error(`files of ${sizes} bytes`);
    }
    const ours = {};
    for (const precision of ["int8", "fp32"]) {
        adl("forward", "--model", at("q.safetensors"), "--threads", "1", "--precision", precision,
            "--input", at("in.safetensors"), "--output", at("out.safetensors"));
        ours[precision] = readTensors(at("out.safetensors"));
    }
    const classes = topClasses(ours.fp32.logits);
    const figures = {};
    let ok = true;
    // As defined, and as the runtime makes it fast.
    for (const level of ["disabled", "all"]) {
        const session = await ort.InferenceSession.create(at("q.onnx"), { intraOpNumThreads: 1, graphOptimizationLevel: level });
        const got = await session.run({ input: new ort.Tensor("float32", input.data, input.shape) });
        await session.release();
        for (const what of ["logits", "features", "cam", "foreground"]) {
            const want = ours.fp32[what];
            if (!want) continue;
            const data = what === "cam" ? null : got[what].data;
            const [theirs, own] = what === "cam"
                ? [classMaps(got.maps, classes).data, ours.int8.cam.data]
                : [data, ours.int8[what].data];
            if (what === "cam" && String(topClasses(ours.int8.logits)) !== String(classes)) continue;
            const far = distance(theirs, want.data);
            const near = distance(own, want.data);
            figures[`${what} ${level === "all" ? "fast" : "exact"}`] = `${far.toFixed(3)} (${near.toFixed(3)})`;
            ok &&= far <= Math.max(2 * near, c.bound ?? 0.05);
        }
    }
    return { ok, figures };
}

module.exports = { compareInt8 };
