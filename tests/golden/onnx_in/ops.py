#!/usr/bin/env python3
"""Values and gradients of the ops that networks from ONNX need, by PyTorch's functions and autograd
in double, into ops.json. Maps are NHWC: x[i] = 5 sin(0.9 i + 0.3), gradient of the result
g[i] = cos(0.7 i), weight w[c] = 0.5 + 0.3 c, bias b[c] = 0.2 c - 0.4."""
import json

import torch
import torch.nn.functional as F

H, W, C = 4, 5, 6


def pool(x, f):
    return f(x.permute(2, 0, 1)[None])[0].permute(1, 2, 0)


def shuffle(x, groups):
    return x.view(H, W, groups, C // groups).transpose(2, 3).reshape(H, W, C)


c = torch.arange(C, dtype=torch.float64)
w, b = 0.5 + 0.3 * c, 0.2 * c - 0.4
ninf = float("-inf")
OPS = {
    "clip": lambda x: x.clamp(-1.5, 2.5),
    "affine": lambda x: 0.75 * x - 0.5,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.125),
    "hard_sigmoid": lambda x: (0.25 * x + 0.5).clamp(0, 1),
    "hard_swish": F.hardswish,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "erf": torch.erf,
    "tanh": torch.tanh,
    "channel_affine": lambda x: x * w + b,
    "channel_scale": lambda x: x * w,
    "channel_bias": lambda x: x + b,
    "layernorm": lambda x: F.layer_norm(x, (C,), eps=1e-3),
    "shuffle": lambda x: shuffle(x, 3),
    "slice": lambda x: x[..., 2:5],
    "pool_max_ceil": lambda x: pool(x, lambda y: F.max_pool2d(
        F.pad(y, (1, 0, 0, 0), value=ninf), (2, 3), (2, 2), ceil_mode=True)),
    "pool_avg_without": lambda x: pool(x, lambda y: F.avg_pool2d(
        y, 3, 2, 1, count_include_pad=False)),
    "pool_avg_ceil": lambda x: pool(x, lambda y: F.avg_pool2d(
        y, (3, 2), (2, 3), (1, 1), ceil_mode=True)),
    "global_maxpool": lambda x: x.amax((0, 1), keepdim=True),
    "resize_nearest": lambda x: pool(x, lambda y: F.interpolate(y, scale_factor=2)),
    "resize_exact": lambda x: pool(x, lambda y: F.interpolate(y, (6, 7), mode="nearest-exact")),
    "resize_linear": lambda x: pool(x, lambda y: F.interpolate(
        y, scale_factor=2, mode="bilinear", align_corners=False)),
    "resize_smaller": lambda x: pool(x, lambda y: F.interpolate(
        y, (3, 2), mode="bilinear", align_corners=False)),
    "resize_corners": lambda x: pool(x, lambda y: F.interpolate(
        y, (7, 9), mode="bilinear", align_corners=True)),
}
out = {}
for name, f in OPS.items():
    i = torch.arange(H * W * C, dtype=torch.float64)
    x = (5 * torch.sin(0.9 * i + 0.3)).view(H, W, C).requires_grad_()
    y = f(x)
    g = torch.cos(0.7 * torch.arange(y.numel(), dtype=torch.float64)).view(y.shape)
    y.backward(g)
    out[name] = {"shape": list(y.shape), "y": [float(f"{v:.7g}") for v in y.flatten()],
                 "dx": [float(f"{v:.7g}") for v in x.grad.flatten()]}
with open("ops.json", "w") as file:
    json.dump(out, file)
    file.write("\n")
