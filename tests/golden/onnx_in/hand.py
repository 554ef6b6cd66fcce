"""Small networks that are written as ONNX node by node, since PyTorch's exporter writes none like
them: files with channels last, in the ways of tf2onnx and Keras; shapes as
PyTorch's newer exporter computes them; files in 8 bits, in that of onnxruntime's quantizer. PyTorch's functions compute what they stand for. Used by make.py."""
import math
import struct

import torch
import torch.nn.functional as F


def formula_input(side):
    """x[i] = sin(0.37 i + 0.5) cos(0.011 i), so that the test can make it as well."""
    i = torch.arange(3 * side * side, dtype=torch.float64)
    return (torch.sin(0.37 * i + 0.5) * torch.cos(0.011 * i)).float().view(1, 3, side, side)


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    kinds = {int: (3, 2), float: (2, 1), str: (4, 3)}
    if isinstance(value, list):
        real = isinstance(value[0], float)
        body = b"".join(field(7 if real else 8, v) for v in value) + field(20, 6 if real else 7)
    elif isinstance(value, torch.Tensor):  # of int64
        data = value.numpy().tobytes()
        body = field(5, field(1, len(value)) + field(2, 7) + field(9, data)) + field(20, 4)
    else:
        number, kind = kinds[type(value)]
        body = field(number, value) + field(20, kind)
    return field(5, field(1, name) + body)


class File:
    """An ONNX file that grows node by node."""

    def __init__(self):
        self.nodes, self.tensors, self.count = b"", b"", 0

    def node(self, op, inputs, **attributes):
        self.count += 1
        out = f"t{self.count}"
        body = b"".join(field(1, i) for i in inputs) + field(2, out)
        body += field(3, f"{op}_{self.count}") + field(4, op)
        body += b"".join(attribute(k, v) for k, v in attributes.items())
        self.nodes += field(1, body)
        return out

    def tensor(self, name, t, packed=False):
        kind = {torch.int64: 7, torch.int32: 6, torch.int8: 3, torch.uint8: 2}.get(t.dtype, 1)
        data = t.contiguous().numpy().tobytes()
        body = b"".join(field(1, d) for d in t.shape) + field(2, kind) + field(8, name)
        if packed and kind == 1:
            body += field(4, data)
        elif packed:
            numbers = b"".join(varint(int(v)) for v in t.flatten())
            body += field(7 if kind == 7 else 5, numbers)
        else:
            body += field(9, data)
        self.tensors += field(5, body)
        return name

    def write(self, path, opset, side, output, classes, first=False):
        def port(number, name, dims):
            shape = b"".join(field(1, field(1, d) if d else field(2, "n")) for d in dims)
            return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, shape))))
        graph = self.nodes + field(2, "g") + self.tensors
        dims = [0, 3, side, side] if first else [0, side, side, 3]
        graph += port(11, "image", dims) + port(12, output, [0, classes])
        with open(path, "wb") as f:
            f.write(field(1, 7) + field(2, "tf2onnx") + field(7, graph) + field(8, field(2, opset)))


MOBILENET = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512),
             (1, 512), (1, 512), (2, 1024), (1, 1024))


def nhwc(path, side, opset, keras, width=8, rows=((1, 12), (2, 16)), classes=5):
    """A MobileNet with TensorFlow's padding; keras: transposed around each convolution, and with
    ZeroPadding2D before those with a stride."""
    g = torch.Generator().manual_seed(11)
    f, cin = File(), 3
    x = formula_input(side)
    value = "image" if keras else f.node("Transpose", ["image"], perm=[0, 3, 1, 2])

    def conv(x, value, k, cout, s, groups):
        nonlocal cin
        w = torch.randn(cout, x.shape[1] // groups, k, k, generator=g) * math.sqrt(
            2 / (k * k * x.shape[1] // groups))
        b = torch.randn(cout, generator=g) * 0.2
        name = f"conv{f.count}"
        out = -(-x.shape[2] // s)
        total = max((out - 1) * s + k - x.shape[2], 0)
        pads = {"auto_pad": "SAME_UPPER"}
        if keras and s > 1:
            pad = [0, 0, 0, 0, 0, total, total, 0]
            value = (f.node("Pad", [value, f.tensor(name + "/pads", torch.tensor(pad), True)])
                     if opset >= 11 else f.node("Pad", [value], pads=pad))
            pads = {"auto_pad": "VALID"}
        if keras:
            value = f.node("Transpose", [value], perm=[0, 3, 1, 2])
        # Keras pads at the end; SAME_UPPER puts the odd row there as well.
        before = 0 if keras and s > 1 else total // 2
        x = F.conv2d(F.pad(x, (before, total - before) * 2), w, b, s, 0, 1, groups)
        value = f.node("Conv", [value, f.tensor(name + "/kernel", w, keras),
                                f.tensor(name + "/bias", b)],
                       strides=[s, s], group=groups, kernel_shape=[k, k], **pads)
        if keras:
            value = f.node("Transpose", [value], perm=[0, 2, 3, 1])
        x = x.clamp(0, 6)
        value = (f.node("Clip", [value, f.tensor(name + "/min", torch.tensor(0.0)),
                                 f.tensor(name + "/max", torch.tensor(6.0))])
                 if opset >= 11 else f.node("Clip", [value], min=0.0, max=6.0))
        return x, value

    x, value = conv(x, value, 3, width, 2, 1)
    for s, cout in rows:
        x, value = conv(x, value, 3, x.shape[1], s, x.shape[1])
        x, value = conv(x, value, 1, cout, 1, 1)
    last = x
    depth = x.shape[1]
    w, b = torch.randn(depth, classes, generator=g) * 0.3, torch.randn(classes, generator=g)
    pooled = x.mean((2, 3))
    scores = (pooled @ w + b)[0]
    if keras:  # a 1x1 convolution as classifier, and shapes around it
        value = f.node("ReduceMean", [value], axes=[1, 2], keepdims=0)
        value = f.node("Reshape", [value, f.tensor("to4", torch.tensor([-1, 1, 1, depth]), True)])
        value = f.node("Transpose", [value], perm=[0, 3, 1, 2])
        value = f.node("Conv", [value, f.tensor("fc/kernel", w.t().reshape(classes, depth, 1, 1)),
                                f.tensor("fc/bias", b)], kernel_shape=[1, 1])
        value = f.node("Transpose", [value], perm=[0, 2, 3, 1])
        value = f.node("Reshape", [value, f.tensor("to2", torch.tensor([-1, classes]))])
    else:
        value = f.node("GlobalAveragePool", [value])
        value = f.node("Squeeze", [value, f.tensor("axes", torch.tensor([2, 3]))]
                       if opset >= 13 else [value], **({} if opset >= 13 else {"axes": [2, 3]}))
        value = f.node("MatMul", [value, f.tensor("fc/kernel", w)])
        value = f.node("Add", [value, f.tensor("fc/bias", b)])
    value = f.node("Softmax", [value])
    f.write(path, opset, side, value, classes)
    k = int(scores.argmax())
    return scores, k, (w[:, k][:, None, None] * last[0]).sum(0), {}


def qdq(path, side):
    """A residual network as onnxruntime's static quantizer writes it: maps in unsigned bytes (one in
    signed ones), weights in signed bytes with a scale for each output channel, biases in 32 bits, and
    no ReLU before a QuantizeLinear whose smallest byte is 0, nor a ReLU6 (after the stem and
    the sum). Two things are as PyTorch writes them after quantization-aware training: 7 bits of 8, and
    a weight in floats. Computed by rounding in double."""
    g = torch.Generator().manual_seed(5)
    f = File()
    x, value, scale = formula_input(side).double(), "image", 0.0

    def rounded(x, value, name, least, signed=False, most=math.inf, bits=8, cast=False):
        lo = min(float(x.min()) if least is None else least, 0.0)
        hi, top = min(float(x.max()), most), 2 ** bits - 1
        # As float32, since that is what the file has.
        scale = float(torch.tensor((hi - lo) / top, dtype=torch.float32))
        zero = round(-lo / scale)
        kind, shift = (torch.int8, 128) if signed else (torch.uint8, 0)
        s = f.tensor(name + "_scale", torch.tensor(scale))
        z = torch.tensor(zero - shift, dtype=torch.int64 if cast else kind)
        z = f.tensor(name + "_zero_point", z, signed)
        if cast:
            z = f.node("Cast", [z], to=3 if signed else 2)
        value = f.node("QuantizeLinear", [value, s, z])
        if bits < 8:
            bound = f.tensor(name + "_most", torch.tensor(top, dtype=torch.uint8))
            value = f.node("Clip", [value, "", bound])
        value = f.node("DequantizeLinear", [value, s, z])
        return scale * ((x / scale).round() + zero).clamp(0, top) - scale * zero, value, scale, zero

    def weight(w, name, in_file=True):
        s = (w.abs().amax((1, 2, 3)) / 127).float()
        q = (w / s.view(-1, 1, 1, 1)).round().to(torch.int8)
        zero = torch.zeros(len(s), dtype=torch.int8)
        scaling = [f.tensor(name + "_scale", s), f.tensor(name + "_zero_point", zero)]
        if in_file:
            names = [f.tensor(name + "_quantized", q), *scaling]
        else:
            names = [f.node("QuantizeLinear", [f.tensor(name, w), *scaling], axis=0), *scaling]
        return q.double() * s.double().view(-1, 1, 1, 1), f.node("DequantizeLinear", names,
                                                                 axis=0), s

    def conv(x, value, scale, name, cout, stride, factor=1, in_file=True):
        w = torch.randn(cout, x.shape[1], 3, 3, generator=g) * math.sqrt(2 / (9 * x.shape[1]))
        w *= factor
        w, w_value, s = weight(w, name + ".weight", in_file)
        bias_scale = (s.double() * scale).float()
        q = (torch.randn(cout, generator=g).double() * 0.1 / bias_scale.double()).round()
        b_value = f.node("DequantizeLinear", [f.tensor(name + ".bias_quantized", q.to(torch.int32)),
                                              f.tensor(name + ".bias_scale", bias_scale)], axis=0)
        value = f.node("Conv", [value, w_value, b_value], strides=[stride, stride],
                       pads=[1, 1, 1, 1], kernel_shape=[3, 3])
        return F.conv2d(x, w, q * bias_scale.double(), stride, 1), value

    one = f.tensor("share_scale", torch.tensor(1 / 256))
    none = f.tensor("share_zero_point", torch.tensor(0, dtype=torch.uint8))
    ranges = {}

    def relu_range(x, value, name, least=0.0, signed=False, **more):
        x, value, s, z = rounded(x, value, name, least, signed, **more)
        ranges[name] = [s, z]
        return x, value, s

    x, value, scale, _ = rounded(x, value, "image", None)
    x, value = conv(x, value, scale, "stem", 8, 2, 4)  # values up to 8
    x, value, scale = relu_range(x, value, "stem", most=6.0)
    short, short_value = x, value
    x, value = conv(x, value, scale, "a", 16, 1)
    x, value = x.relu(), f.node("Relu", [value])
    x, value, scale = relu_range(x, value, "a", most=4.0, bits=7)  # values up to 7
    x, value = conv(x, value, scale, "b", 8, 1, in_file=False)
    x, value, scale = relu_range(x, value, "b", None, True, cast=True)
    x, value = x + short, f.node("Add", [value, short_value])
    x, value, scale = relu_range(x, value, "sum", most=6.0)
    pooled, value = x.mean((2, 3)), f.node("GlobalAveragePool", [value])
    pooled, value, _, _ = rounded(pooled, value, "pooled", 0.0)
    value = f.node("Flatten", [value])
    w = (torch.randn(5, 8, generator=g) * 0.5)
    w, w_value, _ = weight(w.view(5, 8, 1, 1), "fc.weight")
    w_value = f.node("Reshape", [w_value, f.tensor("fc.shape", torch.tensor([5, 8]))])
    scores = pooled @ w.view(5, 8).t()
    value = f.node("Gemm", [value, w_value], transB=1)
    _, value, _, _ = rounded(scores, value, "scores", None)
    value = f.node("Softmax", [value])
    value = f.node("DequantizeLinear", [f.node("QuantizeLinear", [value, one, none]), one, none])
    f.write(path, 13, side, value, 5, True)
    k = int(scores[0].argmax())
    cam = (w.view(5, 8)[k][:, None, None] * x[0]).sum(0)
    return scores[0], k, cam, {"ranges": list(ranges.values())}


def shapes(path, side):
    """Shapes as PyTorch's newer exporter computes them (operator set 18): Shape of some axes, of a
    padded map too, and lists of floats."""
    g = torch.Generator().manual_seed(3)
    f, x = File(), formula_input(side)

    def number(i):
        return f.node("Constant", [], value_ints=[i])

    w, b = torch.randn(6, 3, 3, 3, generator=g) * 0.3, torch.randn(6, generator=g) * 0.2
    x = F.pad(x, (0, 1, 2, 0))
    padded = f.node("Pad", ["image", f.tensor("pads", torch.tensor([0, 0, 2, 0, 0, 0, 0, 1]))])
    # Rows and columns of the padded map, as numbers that the map is multiplied by.
    scale = f.node("Cast", [f.node("Shape", [padded], start=2, end=-1)], to=1)
    x = F.conv2d(x, w, b, 2).relu() * ((side + 2) / 32)
    value = f.node("Relu", [f.node("Conv", [padded, f.tensor("w", w), f.tensor("b", b)],
                                   kernel_shape=[3, 3], strides=[2, 2])])
    value = f.node("Mul", [value, f.node("Div", [scale, f.node("Constant", [], value_floats=[32.0])])])
    factors = [0.5, 1.5, -1.0, 2.0, 0.25, 1.0]
    x = last = x * torch.tensor(factors).view(6, 1, 1)
    # Of seven factors those from 1 to the end, which is the largest number; a product of a column
    # and a row, of which one row is taken.
    factors = f.node("Constant", [], value_floats=[3.0] + factors)
    first = f.node("Cast", [f.node("Cast", [number(2)], to=9)], to=7)
    end = f.node("Cast", [number(2 ** 63 - 1)], to=7)
    factors = f.node("Slice", [factors, first, end])
    end = f.node("ConstantOfShape", [number(1)], value=torch.tensor([2 ** 63 - 1]))
    factors = f.node("Slice", [factors, number(0), end])
    column = f.tensor("column", torch.tensor([2.0, 1, 3, 4, 5, 6]).view(6, 1))
    factors = f.node("Mul", [column, f.node("Unsqueeze", [factors, number(0)])])
    factors = f.node("Slice", [factors, number(1), number(2), number(0)])
    value = f.node("Mul", [value, f.node("Reshape", [factors, f.node("Constant", [],
                                                                     value_ints=[6, 1, 1])])])
    value = f.node("GlobalAveragePool", [value])
    shape = f.node("Concat", [f.node("Shape", [value], start=0, end=1), number(-1)], axis=0)
    value = f.node("Reshape", [value, shape], allowzero=1)
    w, b = torch.randn(5, 6, generator=g) * 0.5, torch.randn(5, generator=g)
    value = f.node("Gemm", [value, f.tensor("fc.weight", w), f.tensor("fc.bias", b)], transB=1)
    f.write(path, 18, side, value, 5, True)
    scores = (x.mean((2, 3)) @ w.t() + b)[0]
    k = int(scores.argmax())
    return scores, k, (w[k][:, None, None] * last[0]).sum(0), {}


def padded(path, side):
    """A Pad before a convolution and before a pool whose own padding depends on the size of what they
    read (auto_pad), and a linear layer in two operators."""
    g = torch.Generator().manual_seed(4)
    f, x = File(), formula_input(side)

    def same(x, k, s):
        totals = [max((-(-size // s) - 1) * s + k - size, 0) for size in (x.shape[3], x.shape[2])]
        return [n for total in totals for n in (total // 2, total - total // 2)]

    w, b = torch.randn(6, 3, 3, 3, generator=g) * 0.3, torch.randn(6, generator=g) * 0.2
    value = f.node("Pad", ["image", f.tensor("above", torch.tensor([0, 0, 1, 0, 0, 0, 0, 0]))])
    x = F.pad(x, (0, 0, 1, 0))
    x = F.conv2d(F.pad(x, same(x, 3, 2)), w, b, 2).relu()
    value = f.node("Conv", [value, f.tensor("w", w), f.tensor("b", b)], kernel_shape=[3, 3],
                   strides=[2, 2], auto_pad="SAME_UPPER")
    value = f.node("Relu", [value])
    value = f.node("Pad", [value, f.tensor("left", torch.tensor([0, 0, 0, 1, 0, 0, 0, 0]))])
    x = F.pad(x, (1, 0, 0, 0))
    x = last = F.max_pool2d(F.pad(x, same(x, 3, 2)), 3, 2)
    value = f.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    value = f.node("Flatten", [f.node("GlobalAveragePool", [value])])
    w, b = torch.randn(6, 5, generator=g) * 0.5, torch.randn(5, generator=g)
    value = f.node("MatMul", [value, f.tensor("fc.weight", w)])
    value = f.node("Add", [value, f.tensor("fc.bias", b.view(1, 5))])
    f.write(path, 13, side, value, 5, True)
    scores = (x.mean((2, 3)) @ w + b)[0]
    k = int(scores.argmax())
    return scores, k, (w[:, k][:, None, None] * last[0]).sum(0), {}


def whole(path, side):
    """A map that is rounded to whole numbers, which is refused."""
    f = File()
    value = f.node("Conv", ["image", f.tensor("w", torch.ones(2, 3, 3, 3))], kernel_shape=[3, 3])
    value = f.node("Cast", [f.node("Cast", [value], to=6)], to=1)
    value = f.node("Flatten", [f.node("GlobalAveragePool", [value])])
    value = f.node("Gemm", [value, f.tensor("fc.weight", torch.ones(3, 2))], transB=1)
    f.write(path, 13, side, value, 3, True)


# By name: the side of the input, and what writes the file of a path and a side and returns scores,
# the class and its map, and what else the golden has; nothing for a file that is refused.
HAND = {
    "qdq": (33, qdq),
    "shapes": (33, shapes),
    "padded": (33, padded),
    "whole": (9, whole),
    "nhwc_tf": (33, lambda path, side: nhwc(path, side, 13, False)),
    "nhwc_keras": (33, lambda path, side: nhwc(path, side, 10, True)),
}
